"""What Gemini's facts rule out and what they allow, and in which form its answers and errors come."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from build import KEY, EngineSession, body_of, make_session

from emulator.core.provider.field_names import without_trailing_commas
from emulator.core.scenario.scenario import TEXT_BREAKS
from emulator.core.values import Exchange
from emulator.core.wires.sse import items_of, payload

Body = dict[str, Any]
MODEL, PRO, NEW, OLD = "gemini-2.5-flash", "gemini-2.5-pro", "gemini-3.8-flash", "gemini-2.0-flash"
CITY = {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]}
CALL = {"functionCall": {"name": "f", "args": {"city": "Oslo"}}}
RESULT = {"functionResponse": {"name": "f", "response": {"temp_c": 21}}}


def user(*parts: Any) -> Body:
    return {"role": "user", "parts": list(parts or [{"text": "Hi."}])}


def model(*parts: Any) -> Body:
    return {"role": "model", "parts": list(parts or [{"text": "Hm."}])}


def ask(**fields: Any) -> Body:
    return {"contents": [user()], **fields}


def talk(*contents: Body, **fields: Any) -> Body:
    return {"contents": list(contents), **fields}


def config(**fields: Any) -> Body:
    return ask(generationConfig=fields)


def thinking(**fields: Any) -> Body:
    return config(thinkingConfig=fields)


def tools(*functions: Body, **beside: Any) -> Body:
    return ask(tools=[{"functionDeclarations": list(functions)}], **beside)


def function(name: Any = "f", **fields: Any) -> Body:
    return {"name": name, **fields}


def calling(mode: str, *names: str) -> Body:
    return tools(function(), toolConfig={"functionCallingConfig": {"mode": mode, "allowedFunctionNames": list(names)}})


def send(
    body: Any, name: str = MODEL, method: str = "generateContent", query: str = "", live: EngineSession | None = None,
    **request: Any,
) -> Exchange:  # fmt: skip
    given: dict[str, Any] = {"key": None, "headers": {"x-goog-api-key": KEY}, **request}
    session = live or make_session(plan="unlimited")
    return session.send("gemini", body, path=f"/models/{name}:{method}", query=query, **given)


UNKNOWN = "Invalid JSON payload received. Unknown name "
TURN = "Please ensure that "
REFUSED: dict[str, tuple[Body, str, str, str]] = {
    # contents
    "no-contents": ({}, MODEL, "ge-x-contents", "* GenerateContentRequest.contents: contents is not specified"),
    "empty-contents": ({"contents": []}, MODEL, "ge-x-contents", "* GenerateContentRequest.contents: contents is not"),
    "text-contents": ({"contents": "Hi."}, MODEL, "ge-x-contents", "contents: must be"),
    "a-system-turn": (talk({"role": "system", "parts": [{"text": "x"}]}), MODEL, "ge-x-role", "Please use a valid"),
    "an-assistant": (talk(user(), {"role": "assistant", "parts": [{"text": "x"}]}), MODEL, "ge-x-role", "Please use a"),
    "no-parts": (talk({"role": "user"}), MODEL, "ge-x-parts-empty", "* GenerateContentRequest.contents[0].parts: cont"),
    "empty-parts": (talk(user(), {"role": "user", "parts": []}), MODEL, "ge-x-parts-empty",
                    "* GenerateContentRequest.contents[1].parts: contents.parts must not be empty."),
    "empty-part": (talk(user({})), MODEL, "ge-x-part-data",
                   "* GenerateContentRequest.contents[0].parts[0].data: required oneof field 'data'"),
    "two-kinds": (talk(user({"text": "a", "functionCall": CALL["functionCall"]})), MODEL, "", UNKNOWN),
    "number-text": (talk(user({"text": 5})), MODEL, "ge-part-kinds", ""),
    "list-text": (talk(user({"text": ["a"]})), MODEL, "ge-part-kinds", f"{UNKNOWN}\"text\" at 'contents[0].parts[0]'"),
    "a-type-that-is-none": (talk(user({"inlineData": {"mimeType": "png", "data": "aGk="}})), MODEL, "ge-x-mime",
                            "Unsupported MIME type: "),
    "no-type": (talk(user({"inlineData": {"data": "aGk="}})), MODEL, "ge-x-mime", ""),
    "functions-alike": (tools(function(), function()), MODEL, "ge-x-fd-twice", "Duplicate function declaration"),
    "thoughts-of-none": (thinking(thinkingBudget=0, includeThoughts=True), MODEL, "ge-x-thoughts", "Unable to submit"),
    "thoughts-unasked": (thinking(includeThoughts=True), "gemini-2.5-flash-lite", "ge-x-thoughts", "Unable to submit"),
    "required-undefined": (
        tools(function(parameters={"type": "OBJECT", "properties": {"a": {"type": "OBJECT", "required": ["b"]}}})),
        MODEL,
        "ge-x-schema-whole",
        "* GenerateContentRequest.tools[0].functionDeclarations[0].parameters.properties[a].required[0]: property is",
    ),
    "array-of-what": (
        config(responseMimeType="application/json", responseSchema={"anyOf": [{"type": "ARRAY"}]}),
        MODEL,
        "ge-x-schema-whole",
        "* GenerateContentRequest.generationConfig.responseSchema.anyOf[0].items: missing field.",
    ),
    "odd-base64": (talk(user({"inlineData": {"mimeType": "image/png", "data": "?"}})), MODEL, "ge-json-bytes", ""),
    "file-without-uri": (talk(user({"fileData": {"mimeType": "a/b"}})), MODEL, "ge-part-fields", ""),
    "call-without-name": (talk(user(), model({"functionCall": {"args": {}}})), MODEL, "ge-part-fields", ""),
    "args-as-text": (talk(user(), model({"functionCall": {"name": "f", "args": "{}"}})), MODEL, "ge-part-fields", ""),
    "text-response": (talk(user(), model(CALL), user({"functionResponse": {"name": "f", "response": "21"}})), MODEL,
                      "ge-part-fields", ""),
    "no-response": (talk(user(), model(CALL), user({"functionResponse": {"name": "f"}})), MODEL, "ge-part-fields", ""),
    "number-thought": (talk(user({"text": "a", "thought": 1})), MODEL, "ge-part-kinds", ""),
    "text-system": (ask(systemInstruction="Be brief."), MODEL, "ge-x-unknown-name", ""),
    "image-system": (ask(systemInstruction={"parts": [{"inlineData": {}}]}), MODEL, "ge-x-unknown-name", UNKNOWN),
    "empty-system-part": (ask(systemInstruction={"parts": [{}]}), MODEL, "ge-x-part-data",
                          "* GenerateContentRequest.system_instruction.parts[0].data: required"),
    # unknown names
    "unknown": (ask(mood="good"), MODEL, "ge-x-unknown-name", f'{UNKNOWN}"mood": Cannot find field.'),
    "messages": (ask(messages=[]), MODEL, "ge-x-unknown-name", f'{UNKNOWN}"messages": Cannot find field.'),
    "stream": (ask(stream=True), MODEL, "ge-x-unknown-name", f'{UNKNOWN}"stream": Cannot find field.'),
    "bare-temperature": (ask(temperature=1), MODEL, "ge-x-unknown-name", f'{UNKNOWN}"temperature": Cannot find field.'),
    "unknown-of-content": (talk({**user(), "name": "ada"}), MODEL, "ge-x-unknown-name",
                           f"{UNKNOWN}\"name\" at 'contents[0]': Cannot find field."),
    "unknown-of-config": (config(maxTokens=5), MODEL, "ge-x-unknown-name",
                          f"{UNKNOWN}\"maxTokens\" at 'generation_config': Cannot find field."),
    "unknown-tool": (ask(tools=[{"functions": []}]), MODEL, "ge-x-unknown-name", f'{UNKNOWN}"functions" at'),
    "both-spellings": ({**ask(generation_config={}), "generationConfig": {}}, MODEL, "", ""),
    # tools
    "no-name": (tools({"description": "d"}), MODEL, "ge-fd-name", ""),
    "name-with-blank": (tools(function("a b")), MODEL, "ge-fd-name", ""),
    "name-with-digit": (tools(function("1a")), MODEL, "ge-fd-name", ""),
    "long-name": (tools(function("a" * 129)), MODEL, "ge-fd-name", ""),
    "both-parameters": (tools(function(parameters=CITY, parametersJsonSchema={})), MODEL, "ge-fd-schema", ""),
    "const": (tools(function(parameters={"type": "STRING", "const": "a"})), MODEL, "ge-schema",
              f"{UNKNOWN}\"const\" at 'tools[0].function_declarations[0].parameters': Cannot find field."),
    "additional-properties": (tools(function(parameters={**CITY, "additionalProperties": False})), MODEL, "ge-schema",
                              f'{UNKNOWN}"additionalProperties" at'),
    "in-a-property": (tools(function(parameters={"type": "OBJECT", "properties": {"a": {}, "b": {"not": {}}}})), MODEL,
                      "ge-schema",
                      f"{UNKNOWN}\"not\" at 'tools[0].function_declarations[0].parameters.properties[1].value'"),
    "type-list": (tools(function(parameters={"type": ["STRING", "NULL"]})), MODEL, "ge-schema-type",
                  f"{UNKNOWN}\"type\" at 'tools[0].function_declarations[0].parameters': Proto field is not repeating"),
    "odd-type": (tools(function(parameters={"type": "TEXT"})), MODEL, "ge-schema-type", ""),
    "enum-of-no-type": (tools(function(parameters={"properties": {"a": {"enum": ["a"]}}})), MODEL, "ge-x-enum", ""),
    "enum-of-numbers": (tools(function(parameters={"properties": {"a": {"type": "INTEGER", "enum": ["1"]}}})), MODEL,
                        "ge-x-enum", ""),
    "text-parameters": (tools(function(parameters={"type": "STRING"})), MODEL, "ge-fd-object", ""),
    "odd-count": (tools(function(parameters={"type": "ARRAY", "minItems": "two"})), MODEL, "ge-json-bytes", ""),
    "odd-mode": (calling("SOMETIMES"), MODEL, "ge-fcc", ""),
    "names-with-auto": (calling("AUTO", "f"), MODEL, "ge-fcc", "Request contains an invalid argument."),
    "unknown-function": (calling("ANY", "g"), MODEL, "ge-fcc", "Request contains an invalid argument."),
    "mixed": (ask(tools=[{"googleSearch": {}}, {"functionDeclarations": [function()]}]), MODEL, "ge-x-mixed-tools",
              "Tool use with function calling is unsupported"),
    "json-with-functions": (tools(function(), generationConfig={"responseMimeType": "application/json"}), MODEL,
                            "ge-x-json-tools", "Function calling with a response mime type: 'application/json' is uns"),
    "json-with-search": (ask(tools=[{"googleSearch": {}}], generationConfig={"responseMimeType": "application/json"}),
                         MODEL, "ge-x-json-tools", "Tool use with a response mime type: 'application/json' is unsupp"),
    # turns
    "one-answer-of-two": (talk(user(), model(CALL, CALL), user(RESULT)), MODEL, "ge-x-fr-count",
                          f"{TURN}the number of function response parts is equal to the number of function call parts"),
    "answers-in-two-turns": (talk(user(), model(CALL, CALL), user(RESULT), user(RESULT)), MODEL, "ge-x-fr-turn", TURN),
    "no-answer": (talk(user(), model(CALL), user()), MODEL, "ge-x-fr-count", f"{TURN}the number of function response"),
    "too-many-answers": (talk(user(), model(CALL), user(RESULT, RESULT)), MODEL, "ge-x-fr-count", f"{TURN}the number"),
    "call-first": (talk(model(CALL), user(RESULT)), MODEL, "ge-x-fc-turn",
                   f"{TURN}function call turn comes immediately after a user turn or after a function response turn."),
    "call-after-model": (talk(user(), model(), model(CALL), user(RESULT)), MODEL, "ge-x-fc-turn", TURN),
    "answer-to-nothing": (talk(user(RESULT)), MODEL, "ge-x-fr-turn", f"{TURN}function response turn comes immediately"),
    "answer-after-text": (talk(user(), model(), user(RESULT)), MODEL, "ge-x-fr-turn", f"{TURN}function response turn"),
    "no-signature": (talk(user(), model(CALL), user(RESULT)), NEW, "ge-x-thought-signature",
                     "Function call is missing a thought_signature in functionCall parts. This is required"),
    "model-last": (talk(user(), model()), NEW, "ge-x-model-last", "Requests ending with a model turn are"),
    # generationConfig
    "cold": (config(temperature=-0.1), MODEL, "ge-temperature", "generationConfig.temperature: must be at least 0"),
    "hot": (config(temperature=2.1), MODEL, "ge-temperature", "generationConfig.temperature: must be at most 2"),
    "text-top-p": (config(topP="1"), MODEL, "ge-top-p", ""),
    "half-top-k": (config(topK=0.5), MODEL, "ge-top-p", ""),
    "text-cap": (config(maxOutputTokens="many"), MODEL, "ge-max-output", ""),
    "six-stops": (config(stopSequences=list("abcdef")), MODEL, "ge-stop", ""),
    "text-stop": (config(stopSequences="a"), MODEL, "ge-stop", ""),
    "two-candidates": (config(candidateCount=2), NEW, "ge-x-candidates", "Multiple candidates is not enabled for this"),
    "odd-mime": (config(responseMimeType="text/html"), MODEL, "ge-mime", ""),
    "schema-of-text": (config(responseSchema=CITY), MODEL, "ge-mime", "Request contains an invalid argument."),
    "both-schemas": (config(responseMimeType="application/json", responseSchema=CITY, responseJsonSchema={}), MODEL,
                     "ge-mime", ""),
    "odd-keyword": (config(responseMimeType="application/json", responseJsonSchema={"not": {}}), MODEL,
                    "ge-json-schema", ""),
    "const-in-schema": (config(responseMimeType="application/json", responseSchema={"const": 1}), MODEL, "ge-schema",
                        f"{UNKNOWN}\"const\" at 'generation_config.response_schema': Cannot find field."),
    "penalty": (config(presencePenalty=2), MODEL, "ge-penalties", ""),
    "low-penalty": (config(frequencyPenalty=-2.5), MODEL, "ge-penalties", ""),
    "half-seed": (config(seed=0.5), MODEL, "ge-penalties", ""),
    "logprobs-alone": (config(logprobs=5), MODEL, "ge-logprobs", "Request contains an invalid argument."),
    "many-logprobs": (config(responseLogprobs=True, logprobs=21), MODEL, "ge-logprobs", ""),
    "odd-modality": (config(responseModalities=["VIDEO"]), MODEL, "ge-modalities", ""),
    "image-of-a-text-model": (config(responseModalities=["IMAGE"]), MODEL, "ge-modalities", ""),
    "thinking-without": (thinking(thinkingBudget=5), OLD, "ge-thinking", ""),
    "text-budget": (thinking(thinkingBudget="much"), MODEL, "ge-thinking", ""),
    "level-and-budget": (thinking(thinkingLevel="LOW", thinkingBudget=5), NEW, "ge-x-level-and-budget",
                         "You can only set only one of thinking budget and thinking level."),
    "level-too-early": (thinking(thinkingLevel="LOW"), MODEL, "ge-budget-range", ""),
    "odd-level": (thinking(thinkingLevel="DEEP"), NEW, "ge-thinking", ""),
    "budget-0": (thinking(thinkingBudget=0), PRO, "ge-x-budget", "Budget 0 is invalid. This model only works"),
    "small-budget": (thinking(thinkingBudget=127), PRO, "ge-x-budget", "The thinking budget (127) is invalid."),
    "large-budget": (thinking(thinkingBudget=24577), MODEL, "ge-x-budget", "The thinking budget (24577) is invalid."),
    "lite-budget": (thinking(thinkingBudget=511), "gemini-2.5-flash-lite", "ge-x-budget", "The thinking budget"),
    # other fields
    "harm": (ask(safetySettings=[{"category": "HARM", "threshold": "OFF"}]), MODEL, "ge-safety", ""),
    "no-threshold": (ask(safetySettings=[{"category": "HARM_CATEGORY_HARASSMENT"}]), MODEL, "ge-safety", ""),
    "twice-a-category": (ask(safetySettings=[{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}] * 2), MODEL,
                         "ge-safety", "Request contains an invalid argument."),
    "cache-name": (ask(cachedContent="a"), MODEL, "ge-cached", ""),
    "cache-and-tools": (tools(function(), cachedContent="cachedContents/a"), MODEL, "ge-cached", ""),
    "tier": (ask(serviceTier="fast"), MODEL, "ge-service-tier", ""),
}  # fmt: skip


@pytest.mark.parametrize(("body", "name", "fact", "message"), REFUSED.values(), ids=REFUSED)
def test_what_the_facts_rule_out(body: Body, name: str, fact: str, message: str) -> None:
    exchange = send(body, name)
    assert exchange.refusal
    code, status, refusal = exchange.refusal
    told = body_of(exchange)["error"]
    assert (code, status, told["code"], told["status"]) == ("invalid_request", 400, 400, "INVALID_ARGUMENT")
    assert told["message"].startswith(message)
    facts = {refusal.fact, *(item.fact for item in refusal.details)}
    assert not fact or fact in facts


ALLOWED: dict[str, tuple[Body, str]] = {
    "no-role": (talk({"parts": [{"text": "Hi."}]}), MODEL),
    "function-role": (talk(user(), model(CALL), {"role": "function", "parts": [RESULT]}), MODEL),
    "model-last": (talk(user(), model()), MODEL),
    "empty-model-turn-last": (talk(user(), model({"text": ""})), NEW),
    "parallel": (talk(user(), model(CALL, CALL), user(RESULT, RESULT)), MODEL),
    "in-turn": (talk(user(), model(CALL), user(RESULT), model(CALL), user(RESULT)), MODEL),
    "call-at-the-end": (talk(user(), model(CALL)), MODEL),
    "signed": (talk(user(), model({**CALL, "thoughtSignature": "YQ=="}, CALL), user(RESULT, RESULT)), NEW),
    "unsigned-before": (talk(user(), model(CALL), user(RESULT), model(), user()), NEW),
    "snake-case": ({"contents": [user({"inline_data": {"mime_type": "image/png", "data": "aGk="}})],
                    "generation_config": {"stop_sequences": ["z"], "thinking_config": {"thinking_budget": 5}}}, MODEL),
    "own-names": (talk(user(), model({"functionCall": {"name": "f", "args": {"a_b": 1}}}), user(RESULT)), MODEL),
    "lower-case": (tools(function(parameters={"type": "object", "properties": {"a_b": {"type": "string"}}})), MODEL),
    "json-schema": (tools(function(parametersJsonSchema={"type": "object", "additionalProperties": False})), MODEL),
    "named": (calling("ANY", "f"), MODEL),
    "one-for-a-list": ({"contents": {"parts": {"text": "Hi."}}, "systemInstruction": {"parts": {"text": "Ho."}}}, NEW),
    "small-letters": (calling("any", "f"), MODEL),
    "validated": (calling("VALIDATED", "f"), MODEL),
    "json-with-functions": (tools(function(), generationConfig={"responseMimeType": "application/json"}), NEW),
    "enum": (config(responseMimeType="text/x.enum", responseSchema={"type": "STRING", "enum": ["a", "b"]}), MODEL),
    "two-candidates": (config(candidateCount=2), MODEL),
    "thoughts": (thinking(includeThoughts=True), MODEL),
    "thoughts-lite": (thinking(includeThoughts=True, thinkingBudget=600), "gemini-2.5-flash-lite"),
    "budget-0": (thinking(thinkingBudget=0), MODEL),
    "budget-of-its-own": (thinking(thinkingBudget=-1), PRO),
    "level": (thinking(thinkingLevel="low", includeThoughts=True), NEW),
    "search": (ask(tools=[{"googleSearch": {}}]), MODEL),
    "null": (ask(systemInstruction=None, tools=None), MODEL),
    "safety": (ask(safetySettings=[{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]), MODEL),
}  # fmt: skip


ENUM = config(responseMimeType="text/x.enum", responseSchema={"type": "STRING", "enum": ["a", "b"]})


@pytest.mark.parametrize("mime", ["text/x.enum", "application/json"])
def test_a_word_of_an_enum_is_said_without_quotes(mime: str) -> None:
    body = config(responseMimeType=mime, responseSchema={"type": "STRING", "enum": ["a", "b"]})
    said = body_of(send(body))["candidates"][0]["content"]["parts"][0]["text"]
    assert said in (["a", "b"] if mime == "text/x.enum" else ['"a"', '"b"'])


@pytest.mark.parametrize(("text", "fits"), [("a", True), ("c", False), ('"a"', False)])
def test_a_scripted_word_of_an_enum_is_held_against_it(text: str, fits: bool) -> None:
    live = make_session({"rules": [{"reply": {"text": text}}]})
    assert (TEXT_BREAKS not in [note.fact for note in send(ENUM, live=live).notes]) is fits


@pytest.mark.parametrize(("body", "name"), ALLOWED.values(), ids=ALLOWED)
def test_what_the_facts_allow(body: Body, name: str) -> None:
    exchange = send(body, name)
    assert (exchange.timeline.status, exchange.notes) == (200, ())


def test_commas_that_nothing_follows() -> None:
    body = b'{"contents": [{"parts": [{"text": "a,]} \\",}",}],},],}'
    assert orjson.loads(without_trailing_commas(body)) == {"contents": [{"parts": [{"text": 'a,]} ",}'}]}]}
    assert send(None, raw=body).timeline.status == 200
    assert send(None, raw=body.replace(b"],},", b"],,},")).timeline.status == 400


@pytest.mark.parametrize(
    ("fact", "body"),
    [
        ("ge-json-one", {"contents": {"parts": [{"text": "a"}]}}),
        ("ge-json-words", calling("any", "f")),
        ("ge-json-names", ask(generation_config={})),
        ("ge-json-commas", b'{"contents": [{"parts": [{"text": "a"}]}],}'),
    ],
    ids=lambda item: item if isinstance(item, str) else "",
)
def test_what_is_read_otherwise_can_be_muted(fact: str, body: Any) -> None:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    assert send(None, raw=raw).timeline.status == 200
    assert send(None, raw=raw, live=make_session({"mute": [fact]}, plan="unlimited")).timeline.status == 400


def test_every_fault_of_a_kind_is_told() -> None:
    told = body_of(send({"contents": [{"parts": [{"text": "Hi.", "a": 1}], "b": 2}], "c": 3}))["error"]
    fields = [item.get("field") for item in told["details"][0]["fieldViolations"]]
    assert (len(told["message"].splitlines()), sorted(map(str, fields))) == (
        3,
        ["None", "contents[0]", "contents[0].parts[0]"],
    )


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        ({"headers": {}}, 403, "PERMISSION_DENIED"),
        ({"headers": {"authorization": f"Bearer {KEY}"}}, 401, "UNAUTHENTICATED"),
        ({"headers": {"x-goog-api-key": "invalid"}}, 400, "INVALID_ARGUMENT"),
        ({"headers": {}, "query": f"key={KEY}"}, 200, ""),
    ],
    ids=["none", "bearer", "wrong", "query"],
)
def test_keys(given: Body, status: int, said: str) -> None:
    exchange = send(ask(), **given)
    body = body_of(exchange)
    assert (exchange.timeline.status, body.get("error", {}).get("status", "")) == (status, said)


@pytest.mark.parametrize(
    ("name", "method"),
    [("gemini-0", "generateContent"), ("gemini-embedding-001", "generateContent"), (MODEL, "embedContent")],
)
def test_a_model_that_there_is_not_or_that_does_it_not(name: str, method: str) -> None:
    body = {"content": {"parts": [{"text": "a"}]}} if method == "embedContent" else ask()
    told = body_of(send(body, name, method))["error"]
    assert (told["code"], told["status"]) == (404, "NOT_FOUND")
    assert told["message"].startswith(
        f"models/{name} is not found for API version v1, or is not supported for {method}."
    )


def test_an_alias_is_there_in_one_version_alone() -> None:
    assert send(ask(), "gemini-flash-latest").timeline.status == 404  # /v1, as requests of these tests are


def stream(query: str, reply: Body, body: Body | None = None) -> Exchange:
    live = make_session({"rules": [{"reply": reply}]}, plan="unlimited")
    return send(body or ask(), method="streamGenerateContent", query=query, live=live)


def test_the_two_framings_say_the_same() -> None:
    reply = {"text": "One two three.", "stream": {"split": "words"}}
    events, array = stream("alt=sse", reply), stream("", reply)
    said = [orjson.loads(payload(frame.data)) for frame in events.timeline.frames]
    data = b"".join(frame.data for frame in array.timeline.frames)
    assert orjson.loads(data) == said == [orjson.loads(item) for item in items_of(data)]
    assert [frame.kind for frame in array.timeline.frames] == ["data"] * 4 + ["done"]
    assert [dict(item.timeline.headers)["content-type"] for item in (events, array)] == [
        "text/event-stream", "application/json",
    ]  # fmt: skip


def test_usage_counts_on() -> None:
    reply = {"reasoning": "Hm hm.", "text": "One two.", "tool_calls": [{"name": "f", "arguments": {}}]}
    body = tools(function(), generationConfig={"thinkingConfig": {"includeThoughts": True}})
    chunks = [
        orjson.loads(payload(frame.data))["usageMetadata"] for frame in stream("alt=sse", reply, body).timeline.frames
    ]
    told = [(item.get("thoughtsTokenCount"), item.get("candidatesTokenCount")) for item in chunks]
    assert told == [(1, None), (2, None), (3, None), (3, 1), (3, 2), (3, 3), (3, 6), (3, 6)]
    assert all(
        item["totalTokenCount"]
        == item["promptTokenCount"] + item.get("thoughtsTokenCount", 0) + item.get("candidatesTokenCount", 0)
        for item in chunks
    )


@pytest.mark.parametrize("query", ["", "alt=sse"], ids=["array", "sse"])
def test_an_error_in_the_middle(query: str) -> None:
    fault = {"error_event": {"error": "model_unavailable", "after_chunks": 1}}
    data = b"".join(frame.data for frame in stream(query, {"text": "One two.", "faults": [fault]}).timeline.frames)
    if query:
        event, _, rest = data.partition(b"\n\n")
        assert event.startswith(b"data: {")
        assert (rest.startswith(b"{\n"), orjson.loads(rest)["error"]["status"]) == (True, "UNAVAILABLE")
    else:
        assert [next(iter(item)) for item in orjson.loads(data)] == ["modelVersion", "error"]


@pytest.mark.parametrize(("query", "kind"), [("", list), ("alt=sse", dict)], ids=["array", "sse"])
def test_an_error_before_a_stream(query: str, kind: type) -> None:
    assert isinstance(body_of(stream(query, {"error": "server_error"})), kind)
    assert isinstance(body_of(send({}, method="streamGenerateContent", query=query)), kind)


@pytest.mark.parametrize(
    ("query", "status"),
    [("alt=json", 200), ("alt=sse", 200), ("alt=sse&key=k", 200), ("$alt=json;enum-encoding=int", 200), ("", 200),
     ("alt=xx", 400), ("alt=", 400), ("alt=sse&alt=proto", 400), ("alt=SSE", 400)],
)  # fmt: skip
def test_the_query_names_a_form_of_answers_that_there_is(query: str, status: int) -> None:
    for method in ("generateContent", "streamGenerateContent", "countTokens"):
        assert send(ask(), method=method, query=query).timeline.status == status
    given: dict[str, Any] = {"method": "GET", "path": "/models", "query": query, "key": None}
    listed = make_session(validation="strict").send("gemini", headers={"x-goog-api-key": KEY}, **given)
    assert listed.timeline.status == (400 if "$" in query else status)  # strictly, nothing but what is documented


def test_retry_info_is_what_a_limit_says() -> None:
    live = make_session(plan="free")
    for _ in range(10):
        assert send(ask(), live=live).timeline.status == 200
    exchange = send(ask(), live=live)
    quota, _, retry = body_of(exchange)["error"]["details"]
    assert (exchange.timeline.status, retry["retryDelay"]) == (429, "60s")
    assert (quota["violations"][0]["quotaValue"], quota["violations"][0]["quotaDimensions"]["model"]) == (10, MODEL)
    assert "retry-after" not in dict(exchange.timeline.headers)
    scripted = stream("alt=sse", {"error": "rate_limited", "retry_after": 7})
    assert body_of(scripted)["error"]["details"][-1]["retryDelay"] == "7s"
    assert "retry-after" not in dict(scripted.timeline.headers)


@pytest.mark.parametrize(
    ("mode", "allowed", "called"),
    [
        ("ANY", [], "f"), ("any", ["g"], "g"), ("ANY", ["g", "f"], "g"), ("AUTO", [], None), ("NONE", [], None),
        ("VALIDATED", [], None), ("VALIDATED", ["g"], None),
    ],
)  # fmt: skip
def test_what_is_called_once_a_result_is_in(mode: str, allowed: list[str], called: str | None) -> None:
    """Where a call has to be, there is another one; the first request is always answered with one that is allowed."""
    chosen = {"mode": mode, **({"allowedFunctionNames": allowed} if allowed else {})}
    offer = {**tools(function(), function("g")), "toolConfig": {"functionCallingConfig": chosen}}
    first, second = (
        body_of(send({**offer, "contents": contents}))["candidates"][0]["content"]["parts"][0]
        for contents in ([user()], [user(), model(CALL), user(RESULT)])
    )
    assert second.get("functionCall", {}).get("name") == called
    assert first.get("functionCall", {}).get("name") == (None if mode == "NONE" else allowed[0] if allowed else "f")


def test_thinking_that_takes_all_leaves_no_parts() -> None:
    reply = {"reasoning": "Let me think of it for long.", "text": "Yes."}
    live = make_session({"rules": [{"reply": reply}]}, plan="unlimited")
    body = body_of(send(config(maxOutputTokens=3), live=live))
    assert body["candidates"] == [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS", "index": 0}]
    assert "candidatesTokenCount" not in body["usageMetadata"]


def test_a_model_of_the_path_is_the_one_embedded_with() -> None:
    asked = {"content": {"parts": [{"text": "a"}]}, "model": "models/gemini-embedding-2"}
    told = body_of(send({"requests": [asked]}, "gemini-embedding-001", "batchEmbedContents"))["error"]
    assert told["message"].startswith("requests[0].model: must be the model of the path")
