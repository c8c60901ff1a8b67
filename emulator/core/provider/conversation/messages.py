"""Rules about who speaks when, and about calls and their answers; each returns what fills the holes of its words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from emulator.core.provider.conversation.rule import MOST_NAMED, Asked, ConversationRule, Finding, first
from emulator.core.wires.conversation import Message


def answers_a_call(rule: ConversationRule, asked: Asked) -> Finding | None:
    """A message that answers a call comes after one that calls, or after another answer to it."""
    messages = asked.conversation.messages
    for number, message in enumerate(messages):
        if _answers(message):
            before = messages[number - 1] if number else None
            if before is None or not (before.calls or _answers(before)):
                return {"i": number, "ids": message.call_id}
    return None


def answers_its_call(rule: ConversationRule, asked: Asked) -> Finding | None:
    """A message that answers a call names one of the calls that it follows."""
    for number, calls, answers in _turns(asked.conversation.messages):
        known = set(calls)
        for offset, answer in enumerate(answers, 1):
            if answer.call_id not in known:
                return {"i": number + offset, "ids": ", ".join(calls[:MOST_NAMED])}
    return None


def calls_are_answered(rule: ConversationRule, asked: Asked) -> Finding | None:
    """Each call is answered before the next turn, and before the end."""
    for number, calls, answers in _turns(asked.conversation.messages):
        answered = {answer.call_id for answer in answers}
        left = [call for call in calls if call not in answered]
        if left:
            following = number + len(answers) + 1
            at_end = following == len(asked.conversation.messages)
            return {"i": following, "ids": ", ".join(left[:MOST_NAMED]), "at_end": at_end}
    return None


def answers_an_earlier_call(rule: ConversationRule, asked: Asked) -> Finding | None:
    """A message that answers a call names one that was made before it, wherever."""
    made: set[str] = set()
    for number, message in enumerate(asked.conversation.messages):
        made.update(call_id for call_id, _, _ in message.calls)
        if _answers(message) and message.call_id not in made:
            return {"i": number, "ids": message.call_id}
    return None


def calls_have_answers(rule: ConversationRule, asked: Asked) -> Finding | None:
    """Each call is answered somewhere."""
    messages = asked.conversation.messages
    answered = {message.call_id for message in messages if _answers(message)}
    made = dict.fromkeys(call_id for message in messages for call_id, _, _ in message.calls)
    left = [call_id for call_id in made if call_id not in answered]
    return {"i": len(messages), "ids": ", ".join(left[:MOST_NAMED])} if left else None


def begins_as(rule: ConversationRule, asked: Asked) -> Finding | None:
    """The first message after the system's is of one of the roles."""
    spoken = [(number, message) for number, message in enumerate(asked.conversation.messages) if _spoken(message)]
    number, first = spoken[0] if spoken else (0, None)
    return {"i": number, "value": first.role} if first and first.role not in rule.words else None


def alternates(rule: ConversationRule, asked: Asked) -> Finding | None:
    """No two messages that follow one another have the same role; answers to calls may."""
    last = ""
    for number, message in enumerate(asked.conversation.messages):
        if _spoken(message):
            if message.role == last and not _answers(message):
                return {"i": number, "value": message.role}
            last = message.role
    return None


def says_a_word(rule: ConversationRule, asked: Asked) -> Finding | None:
    """Some message has one of the words, in any case; the field says that it must."""
    if first(rule.fields, asked) is None:
        return None
    texts = [message.text.casefold() for message in asked.conversation.messages]
    return None if any(word in text for word in rule.words for text in texts) else {}


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
