"""Rules about who speaks when, and about calls and their answers; each yields what fills the holes of its words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from emulator.core.provider.conversation.rule import MOST_NAMED, Asked, ConversationRule, Finding, every, first
from emulator.core.wires.completion import is_broken
from emulator.core.wires.request.conversation import Message


def answers_a_call(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """A message that answers a call comes after one that calls, or after another answer to it."""
    messages = asked.conversation.messages
    for before, message in zip((None, *messages), messages, strict=False):
        if _answers(message) and not (before and (before.calls or _answers(before))):
            yield _at(message) | {"ids": message.call_id, "value": message.call_id}


def answers_its_call(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """A message that answers a call names one of the calls that it follows."""
    for _, calls, answers in _turns(asked.conversation.messages):
        known = set(calls)
        for answer in answers:
            if answer.call_id not in known:
                yield _at(answer) | {"ids": ", ".join(calls[:MOST_NAMED]), "value": answer.call_id}


def calls_are_answered(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """Each call is answered before the next turn, and before the end."""
    messages = asked.conversation.messages
    for number, calls, answers in _turns(messages):
        answered = {answer.call_id for answer in answers}
        left = [call for call in calls if call not in answered]
        if left:
            following = number + len(answers) + 1
            at_end = following == len(messages)
            place = messages[-1].at + 1 if at_end else messages[following].at
            yield {"i": place, "ids": ", ".join(left[:MOST_NAMED]), "at_end": at_end, "caller": messages[number].at}


def answers_an_earlier_call(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """A message that answers a call names one that was made before it, wherever."""
    made: set[str] = set()
    for message in asked.conversation.messages:
        made.update(call_id for call_id, _, _ in message.calls)
        if _answers(message) and message.call_id not in made:
            yield _at(message) | {"ids": message.call_id}


def calls_have_answers(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """Each call is answered somewhere."""
    messages = asked.conversation.messages
    answered = {message.call_id for message in messages if _answers(message)}
    made = dict.fromkeys(call_id for message in messages for call_id, _, _ in message.calls)
    left = [call_id for call_id in made if call_id not in answered]
    if left:
        yield {"i": len(messages), "ids": ", ".join(left[:MOST_NAMED])}


def begins_as(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """The first message after the system's is of one of the roles."""
    first = next(filter(_spoken, asked.conversation.messages), None)
    if first and first.role not in rule.words:
        yield _at(first) | {"value": first.role}


def ends_as(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """The last message is of one of the roles, or has what the others find."""
    for last in asked.conversation.messages[-1:]:
        if last.role not in rule.words and all(place.index[0] != last.at for place in every(rule.others, asked)):
            yield _at(last) | {"value": last.role}


def ends_trimmed(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """The last message, where it is of one of the roles, ends in no white space."""
    for last in asked.conversation.messages[-1:]:
        if last.role in rule.words and last.text.rstrip() != last.text:
            yield _at(last)


def interjects(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """The system speaks among the messages only after the user, and before the assistant or at the end."""
    said = [message for message in asked.conversation.messages if message.at >= 0]
    for before, message, after in zip((None, *said), said, (*said[1:], None), strict=False):
        follows = before is not None and before.role in ("user", "tool")
        if message.role == "system" and not (follows and (after is None or after.role == "assistant")):
            yield _at(message)


def loop_begins_with(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """Where the last messages answer calls, the turn that made them begins with one of the words."""
    messages = asked.conversation.messages
    calling = next((message for message in reversed(messages) if message.calls), None)
    if calling and _answers(messages[-1]):
        begun = next((place for place in every(rule.fields, asked) if place.index[0] == calling.at), None)
        if begun and begun.value not in rule.words:
            yield _at(calling) | {"value": begun.value}


def is_as_signed(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """What was reasoned in the assistant's last turn is what its signature is of; `words` are the fields of both."""
    text, signed = rule.words
    turns = [message.at for message in asked.conversation.messages if message.role == "assistant"]
    for place in every(rule.fields, asked):
        given = place.value if isinstance(place.value, Mapping) else {}
        if turns and place.index[0] >= turns[-1] and is_broken(str(given.get(signed)), str(given.get(text))):
            yield dict(zip(("i", "j"), place.index, strict=False))


def alternates(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """No two messages that follow one another have the same role; answers to calls may."""
    last = ""
    for message in asked.conversation.messages:
        if _spoken(message):
            if message.role == last and not _answers(message):
                yield _at(message) | {"value": message.role}
            last = message.role


def says_a_word(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """Some message has one of the words, in any case; the field says that it must."""
    texts = [message.text.casefold() for message in asked.conversation.messages]
    if first(rule.fields, asked) and not any(word in text for word in rule.words for text in texts):
        yield {}


def _at(message: Message) -> Finding:
    return {"i": message.at, "j": message.part}


def _spoken(message: Message) -> bool:
    return message.role != "system"


def _answers(message: Message) -> bool:
    return message.role == "tool" and bool(message.call_id)


def _turns(messages: Sequence[Message]) -> Iterator[tuple[int, list[str], list[Message]]]:
    """Yield of each message that calls its number, the ids of its calls, and the answers right after it."""
    for number, message in enumerate(messages):
        if message.calls:
            end = number + 1
            while end < len(messages) and _answers(messages[end]):
                end += 1
            yield number, [call_id for call_id, _, _ in message.calls], list(messages[number + 1 : end])
