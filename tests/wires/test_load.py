"""Loading wires: every problem has its place, and says what would be right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from emulator.core.errors import SourceError
from emulator.core.provider.loading.folder import load_provider
from emulator.core.schema.formats import data_folder, own_schema, schema_problems
from emulator.core.source import parse_source
from emulator.core.wires.loading.files import merged, wire_files
from tests.wires.build import SCHEMAS

BLOCKS = (SCHEMAS / "wires" / "blocks.yaml").read_text()


OURS = sorted([*data_folder("schemas").glob("wires/*.yaml"), *data_folder("schemas").glob("*/*.wire.yaml")])


@pytest.mark.parametrize("file", OURS, ids=lambda file: file.name)
def test_our_wires_are_as_their_schema_says(file: Path) -> None:
    assert schema_problems(own_schema("wire"), parse_source(file.read_bytes(), file.name)) == []


def problems(folder: Path, text: str, name: str = "own") -> list[str]:
    (folder / f"{name}.wire.yaml").write_text(text)
    with pytest.raises(SourceError) as caught:
        wire_files(folder).load(name)
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ('words: "${part.text}"}\n      image', 'words: "${part.txt}"}\n      image', [
             "23:27: request.messages.parts.text.words: nothing fills ${part.txt} here; did you mean 'part.text'?",
        ]),
        ('key: "${id}"', 'key: "${idd}"', [
             "36:3: response.key: nothing fills ${idd} here; did you mean 'id'?",
        ]),
        ('key: "${id}"', 'key: "${piece}"', [
             "36:3: response.key: nothing fills ${piece} here; known: choice, conversation, created, created_at, "
             "error.code, error.message, error.param, error.reason, error.type, finish, id, model, reasoning, "
             "refusal, said, stopped, text, took.answer, took.load, took.prompt, took.total, usage.asked, "
             "usage.cached, usage.cost, usage.fresh, usage.input, usage.output, usage.reasoning, usage.said, "
             "usage.total, usage.written",
        ]),
        ('key: "${id}"', 'key: "${id"', [
             "36:3: response.key: '${id' has no closing brace",
        ]),
        ('key: "${id}"', '$event: opened', [
             "36:3: response.$event: names an event of the stream by a text, and nothing inside of one",
        ]),
        ('- $each:', '- $eech:', [
             "39:7: response.blocks[0].$eech: there is no word $eech; did you mean '$each'?",
        ]),
        ('refusal: {kind: no,', 'refuse: {kind: no,', [
             "42:9: response.blocks[0].$each.refuse: no part is a 'refuse'; did you mean 'refusal'?",
        ]),
        ('then: {in:', 'than: {in:', [
             "45:11: response.spent.$if: stands with $if and then alone, not with $if, than",
        ]),
        ('spent: {$if: usage', 'spent: {$if: usages', [
             "45:11: response.spent.$if: there is no value 'usages'; did you mean 'usage'?",
        ]),
        ('parts: [], finish: null', 'part: [], finish: null', [
             "51:43: stream.start[0].answer.$whole.part: there is no value 'part'; did you mean 'parts'?",
        ]),
        ('{$whole: {parts: [], finish: null, stopped: null, usage.output: 0}}', '{$whole: 5}', [
             "51:34: stream.start[0].answer.$whole: must be a mapping",
        ]),
        ('  kind: answer\n', '  kind: {$whole: {}}\n', [
             "35:10: response.kind.$whole: stands in events alone; this is the whole answer",
        ]),
        ('  kind: answer\n', '  kind~: "${model}"\n', [
             "35:3: response.kind~: may be left out, and so cannot come first; put another before it",
        ]),
        ('words: "${piece}"', 'words: "<${piece}>"', [
             "60:13: stream.text.piece[0]: must have ${piece} once, where nothing is left out",
             "60:72: stream.text.piece[0].by.words: ${piece} stands alone in its string",
        ]),
        ('words: "${piece}"', 'words: hi', [
             "60:13: stream.text.piece[0]: must have ${piece} once, where nothing is left out",
        ]),
        ('words: "${piece}"', 'words~: "${piece}"', [
             "60:13: stream.text.piece[0]: must have ${piece} once, where nothing is left out",
        ]),
        ('  event: kind', '  evnt: kind', [
             "49:3: stream.evnt: is not known here; did you mean 'event'?",
        ]),
        ('  finish: [{kind: ends', '  finnish: [{kind: ends', [
             "70:3: stream.finnish: is not known here; did you mean 'finish'?",
        ]),
        ('{stop: done', '{stopp: done', [
             "32:12: words.finish.stopp: is no finish reason; did you mean 'stop'?",
        ]),
        ('    role: by\n', '', [
             "17:3: request.messages: lacks 'role'",
        ]),
        ('at: turns', 'at: turns..x', [
             "18:5: request.messages.at: must match ^[^.\\[\\]]+(\\[\\])?(\\.[^.\\[\\]]+(\\[\\])?)*$, not 'turns..x'",
        ]),
        ('response:\n', 'x-response:\n', [
             "3:1: lacks 'response'",
        ]),
        ('  refusal:\n    begin', '  x-refusal:\n    begin', [
             "62:3: stream.x-refusal: is not known here; did you mean 'refusal'?",
        ]),
        ('emulator: 1', 'emulator: 2', [
             "3:1: emulator: must be 1, not 2",
        ]),
        ('        refusal: {kind: no, words: "${part.text}"}\n', "", [
             "34:1: response: has no template for a part that is a refusal",
        ]),
    ],
    ids=[
        "hole-of-a-part", "hole", "hole-elsewhere", "brace", "name-of-no-event", "word", "kind", "beside-a-word",
        "condition", "change", "changes", "whole-in-the-whole", "first-may-be-missing", "piece-in-a-text", "no-piece",
        "piece-may-be-missing", "key", "moment", "reason", "role", "path", "no-response", "no-such-kind", "format",
        "no-template",
    ],
)  # fmt: skip
def test_problems(tmp_path: Path, old: str, new: str, wanted: list[str]) -> None:
    assert old in BLOCKS
    assert problems(tmp_path, BLOCKS.replace(old, new, 1)) == [f"own.wire.yaml:{line}" for line in wanted]


CHANGE = """\
emulator: 1
like: openai-chat
request: {cap: [max_completion_tokens, max_tokens]}
response: {choices: [{$choices: {message: {refusal: "${refusal}", notes: []}, logprobs: null}}], tier: default}
"""


def test_a_change_of_a_wire(tmp_path: Path) -> None:
    (tmp_path / "openai-chat.wire.yaml").write_text(CHANGE)
    from emulator.core.wires.loading.samples import SAMPLES
    from emulator.core.wires.scope import AnswerValues

    wire = wire_files(tmp_path).load("openai-chat")
    assert wire.request.path("cap") == "max_completion_tokens"
    assert wire.whole(AnswerValues(SAMPLES["a text"])) == (
        b'{"id":"","object":"chat.completion","created":0,"model":"","choices":[{"index":0,"message":{"role":"assistant",'
        b'"content":"Hello there.","refusal":null,"notes":[]},"logprobs":null,"finish_reason":"stop"}],'
        b'"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8},"tier":"default"}'
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("emulator: 1\nlike: openai-chats\n",
         "own.wire.yaml:2:1: like: there is no other wire 'openai-chats'; did you mean 'openai-chat'?"),
        ("emulator: 1\nlike: own\n",
         "own.wire.yaml:2:1: like: there is no other wire 'own'; known: anthropic-messages, gemini, openai-chat, "
             "openai-responses"),
        (CHANGE.replace("${refusal}", "${refused}"),
         "own.wire.yaml:4:44: response.choices[0].$choices.message.refusal: "
         "nothing fills ${refused} here; did you mean 'refusal'?"),
        (CHANGE.replace("cap:", "caps:"), "own.wire.yaml:3:11: request.caps: is not known here; did you mean 'cap'?"),
    ],
    ids=["unknown", "itself", "hole", "key"],
)  # fmt: skip
def test_problems_of_a_change(tmp_path: Path, text: str, wanted: str) -> None:
    assert problems(tmp_path, text) == [wanted]


def test_a_problem_in_what_a_wire_is_a_change_of_stands_there(tmp_path: Path) -> None:
    (tmp_path / "base.wire.yaml").write_text(BLOCKS.replace('key: "${id}"', 'key: "${idd}"'))
    assert problems(tmp_path, "emulator: 1\nlike: base\n") == [
        "base.wire.yaml:36:3: response.key: nothing fills ${idd} here; did you mean 'id'?"
    ]


def test_merging() -> None:
    base = {"a~": 1, "b": {"c": 2}, "d": [{"e": 3}], "f": [1, 2]}
    change = {"a": 4, "b": {"g": 5}, "d": [{"h~": 6}], "f": [7], "i": 8}
    assert list(merged(base, change).items()) == [
        ("a", 4), ("b", {"c": 2, "g": 5}), ("d", [{"e": 3, "h~": 6}]), ("f", [7]), ("i", 8),
    ]  # fmt: skip


def broken(folder: Path, *changes: tuple[str, str, str]) -> list[str]:
    """Return the problems of the made-up provider with changes of its files."""
    own = folder / "parlance"
    own.mkdir()
    for file in (SCHEMAS / "parlance").iterdir():
        (own / file.name).write_text(file.read_text())
    (own / "blocks.wire.yaml").write_text(BLOCKS)
    for name, old, new in changes:
        text = (own / name).read_text()
        assert old in text
        (own / name).write_text(text.replace(old, new))
    with pytest.raises(SourceError) as caught:
        load_provider(own)
    return [str(problem).replace(f"{own}/", "") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (("provider.yaml", "wire: blocks", "wire: block"),
         ["provider.yaml:57:5: operations.chat.wire: there is no wire 'block'; did you mean 'blocks'?"]),
        (("provider.yaml", "stream: {fact", "stream: {done: over, fact"),
         ["provider.yaml:31:10: stream.done: must be as the wire ends a stream, '{\"kind\":\"closes\"}', or left out"]),
        (("provider.yaml", "/engines/{model}:", "/engines/{engine}:"),
         ["provider.yaml:54:5: operations.chat.path: lacks {model}, where its wire 'blocks' has the model"]),
        (("chat.response.schema.json", '"wants"', '"wishes"'),
         [re.compile("operations.chat.wire: calls, whole: ended"), re.compile("a text with a call, whole: ended")]),
        (("blocks.wire.yaml", "too_long, tool_calls: wants", "done, tool_calls: wants"),
         [re.compile("a text that was cut, whole, is not read as it was written: text 'Hello' .stop"),
          re.compile("a text that was cut, streamed, is not read")]),
        (("provider.yaml", "wire: blocks", "wire: blocks\n    shown: {chunk: [kind, by.words, by.input_text, ended]}"),
         ["provider.yaml:58:13: operations.chat.shown.chunk: leaves out at, by.kind, without which the pieces of a "
          "text are not told from other events"]),
    ],
    ids=["unknown", "done", "no-model", "schema", "not-read", "no-marker"],
)  # fmt: skip
def test_problems_of_an_operation(
    tmp_path: Path, change: tuple[str, str, str], wanted: list[str | re.Pattern[str]]
) -> None:
    found = broken(tmp_path, change)
    assert len(found) == len(wanted), found
    for line, one in zip(found, wanted, strict=True):
        assert one.search(line) if isinstance(one, re.Pattern) else one == line
