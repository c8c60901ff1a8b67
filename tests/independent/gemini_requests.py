"""What Gemini's operations take, as its proto files and docs say it, and how its JSON may be written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from independent.shapes import Shape, anything, array, boolean, integer, mapping, number, record, text, words
from independent.values import Json, Refused

STRING, OBJECT, STRINGS = text(), record(is_open=True), array(text())
MIME = text(form="^(image|audio|video|text|application)/.")
BYTES = text(form=r"^[A-Za-z0-9+/_-]*={0,2}\Z")
INVALID = "Request contains an invalid argument."
#: Objects whose names are the caller's own.
FREE = {"args", "response", "labels", "parametersJsonSchema", "responseJsonSchema"}
#: Fields that hold lists: one object may stand for a list of one.
LISTS = {"contents", "parts", "tools", "functionDeclarations", "safetySettings", "requests"}
KINDS = {
    "text": STRING, "inlineData": record("mimeType", mimeType=MIME, data=BYTES, displayName=STRING),
    "fileData": record("fileUri", fileUri=STRING, mimeType=STRING, displayName=STRING),
    "functionCall": record("name", id=STRING, name=STRING, args=OBJECT),
    "functionResponse": record("name response", True, id=STRING, name=STRING, response=OBJECT),
    "executableCode": OBJECT, "codeExecutionResult": OBJECT,
}  # fmt: skip
BESIDE = {"thought": boolean, "thoughtSignature": BYTES, "videoMetadata": OBJECT, "mediaResolution": OBJECT,
          "partMetadata": OBJECT}  # fmt: skip
NO_DATA = "* GenerateContentRequest.{}.data: required oneof field 'data' must have one initialized field"
TYPES = ("STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL", "TYPE_UNSPECIFIED")


def any_case(*allowed: str) -> Shape:
    """A word of an enum, in large letters or small ones."""
    return words(*allowed, *(word.lower() for word in allowed))


def wrong(message: str, status: int = 400, field: str | None = None) -> Refused:
    return Refused(status, message, {field: message} if field else None)


def part(value: Json, at: str) -> None:
    record(**KINDS, **BESIDE)(value, at)
    if not set(value) & set(KINDS):
        raise wrong(NO_DATA.format(at))
    if len(set(value) & set(KINDS)) > 1:
        raise wrong("Invalid value: oneof field 'data' is already set.")


def system_part(value: Json, at: str) -> None:
    record(text=STRING, thought=boolean, thoughtSignature=BYTES)(value, at)
    if "text" not in value:
        raise wrong(NO_DATA.format(at.replace("systemInstruction", "system_instruction")))


def content(value: Json, at: str) -> None:
    record(role=STRING, parts=array(part))(value, at)
    if value.get("role", "user") not in ("user", "model", "function"):
        raise wrong("Please use a valid role: user, model.")
    if not value.get("parts"):
        raise wrong(f"* GenerateContentRequest.{at}.parts: contents.parts must not be empty.")


def whole(value: Json, at: str) -> None:
    """A number of 64 bits, which may be written as a text."""
    if not (type(value) is int and value >= 0) and not (isinstance(value, str) and re.fullmatch("[0-9]+", value)):
        raise wrong(INVALID)


def schema(value: Json, at: str) -> None:
    if isinstance(value, dict) and isinstance(value.get("type"), list):
        path = re.sub(r"functionDeclarations", "function_declarations", at)
        told = "Proto field is not repeating, cannot start list."
        raise wrong(f"Invalid JSON payload received. Unknown name \"type\" at '{path}': {told}", field=path)
    counts = dict.fromkeys(("minItems", "maxItems", "minProperties", "maxProperties", "minLength", "maxLength"), whole)
    OBJECT(value, at)
    STRINGS(value.get("required", []), f"{at}.required")
    others = {name: item for name, item in value.items() if name != "required"}
    record(
        type=any_case(*TYPES), format=STRING, title=STRING, description=STRING, nullable=boolean, enum=STRINGS,
        items=schema, properties=properties, minimum=number(), maximum=number(), pattern=STRING, example=anything,
        default=anything, anyOf=array(schema), propertyOrdering=STRINGS, **counts,
    )(others, at)  # fmt: skip
    if "enum" in value and str(value.get("type")).upper() != "STRING":
        raise wrong(f"* GenerateContentRequest.{at}.enum: only allowed for STRING type")
    if not set(value.get("required", ())) <= set(value.get("properties", ())):
        raise wrong(f"* GenerateContentRequest.{at}.required[0]: property is not defined")
    if str(value.get("type")).upper() == "ARRAY" and "items" not in value:
        raise wrong(f"* GenerateContentRequest.{at}.items: missing field.")


def properties(value: Json, at: str) -> None:
    """Named schemas: of a map errors tell the number, and that its value is wrong."""
    OBJECT(value, at)
    for index, item in enumerate(value.values()):
        schema(item, f"{at}[{index}].value")


def arguments(value: Json, at: str) -> None:
    schema(value, at)
    if str(value.get("type", "OBJECT")).upper() != "OBJECT":
        raise wrong(INVALID)


def function(value: Json, at: str) -> None:
    record(
        "name", name=text(1, 128, r"^[A-Za-z_][A-Za-z0-9_.:-]*\Z"), description=STRING, behavior=STRING,
        parameters=arguments, parametersJsonSchema=OBJECT, response=schema, responseJsonSchema=OBJECT,
    )(value, at)  # fmt: skip
    if {"parameters", "parametersJsonSchema"} <= set(value) or {"response", "responseJsonSchema"} <= set(value):
        raise wrong(INVALID)


HOSTED = (
    "googleSearch",
    "googleSearchRetrieval",
    "codeExecution",
    "urlContext",
    "fileSearch",
    "googleMaps",
    "computerUse",
)
TOOL = record(functionDeclarations=array(function), mcpServers=array(OBJECT), **dict.fromkeys(HOSTED, OBJECT))
PLAIN_KEYWORDS = ("$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum", "items",
                  "prefixItems", "minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties",
                  "additionalProperties", "required", "propertyOrdering")  # fmt: skip


def plain_schema(value: Json, at: str) -> None:
    OBJECT(value, at)
    if not set(value) <= set(PLAIN_KEYWORDS):
        raise wrong(INVALID)


def below_2(value: Json, at: str) -> None:
    number(-2, 2)(value, at)
    if value == 2:
        raise wrong(INVALID)


THINKING = record(includeThoughts=boolean, thinkingBudget=integer(-1), thinkingLevel=any_case(
    "THINKING_LEVEL_UNSPECIFIED", "MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"))  # fmt: skip
CONFIG = record(
    candidateCount=integer(1), stopSequences=array(STRING, 0, 5), maxOutputTokens=integer(1), temperature=number(0, 2),
    topP=number(), topK=integer(), seed=integer(), presencePenalty=below_2, frequencyPenalty=below_2,
    responseMimeType=words("text/plain", "application/json", "text/x.enum"), responseSchema=schema,
    responseJsonSchema=plain_schema, responseLogprobs=boolean, logprobs=integer(0, 20),
    responseModalities=array(any_case("TEXT", "IMAGE", "AUDIO")), mediaResolution=STRING, speechConfig=OBJECT,
    imageConfig=OBJECT, enableEnhancedCivicAnswers=boolean, audioTranscriptionConfig=OBJECT, thinkingConfig=THINKING,
)  # fmt: skip
CALLING = record(mode=any_case("MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"), allowedFunctionNames=STRINGS)
SAFETY = record(
    "category threshold",
    category=any_case(*(f"HARM_CATEGORY_{name}" for name in (
        "HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT", "CIVIC_INTEGRITY"))),
    threshold=any_case("HARM_BLOCK_THRESHOLD_UNSPECIFIED", "BLOCK_LOW_AND_ABOVE", "BLOCK_MEDIUM_AND_ABOVE",
                       "BLOCK_ONLY_HIGH", "BLOCK_NONE", "OFF"),
)  # fmt: skip
GENERATE = {
    "model": STRING, "contents": array(content), "systemInstruction": record(role=STRING, parts=array(system_part)),
    "tools": array(TOOL), "safetySettings": array(SAFETY), "generationConfig": CONFIG,
    "toolConfig": record(functionCallingConfig=CALLING, retrievalConfig=OBJECT,
                         includeServerSideToolInvocations=boolean),
    "cachedContent": text(form=r"^cachedContents/.+\Z"), "store": boolean, "labels": mapping(STRING),
    "serviceTier": words("unspecified", "flex", "standard", "priority"), "continuationToken": STRING,
}  # fmt: skip
COUNT = record(model=STRING, contents=array(content), generateContentRequest=record("model", **GENERATE))
EMBED = record(
    "content", model=STRING, content=content, title=STRING, outputDimensionality=integer(128, 3072),
    taskType=any_case("TASK_TYPE_UNSPECIFIED", "RETRIEVAL_QUERY", "RETRIEVAL_DOCUMENT", "SEMANTIC_SIMILARITY",
                      "CLASSIFICATION", "CLUSTERING", "QUESTION_ANSWERING", "FACT_VERIFICATION",
                      "CODE_RETRIEVAL_QUERY"),
)  # fmt: skip
BATCH = record("requests", requests=array(EMBED))

#: Of each model: what it does, and what it does not do as others do.
MODELS: Mapping[str, str] = {
    **dict.fromkeys(("gemini-4-argon", "gemini-3.8-flash", "gemini-3.6-flash"), "thinks levels signs single user-last"),
    "gemini-3.5-flash-lite": "thinks always levels signs single user-last",
    "gemini-2.5-pro": "thinks always plain-tools 128 32768", "gemini-2.5-flash": "thinks plain-tools 0 24576",
    "gemini-2.5-flash-lite": "thinks plain-tools 512 24576", "gemini-2.0-flash": "plain-tools",
    "gemma-4-31b-it": "plain-tools", "gemini-flash-latest": "thinks levels signs single user-last",
    "gemini-embedding-001": "embeds",
}  # fmt: skip


def read(data: bytes) -> Json:
    """Return the object of a body, with its documented names and lists. Raises: Refused."""
    try:
        value = json.loads(re.sub(rb",(\s*[}\]])", rb"\1", data))
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise wrong("Invalid JSON payload received. Unexpected token.")
    return _named(value)


def _named(value: Json, name: str = "") -> Json:
    if isinstance(value, list):
        return [_named(item) for item in value]
    if not isinstance(value, dict) or name in FREE:
        return value
    named = {key if name == "properties" else re.sub("_([a-z])", lambda found: found[1].upper(), key): item
             for key, item in value.items()}  # fmt: skip
    if len(named) < len(value):
        raise wrong(INVALID)
    read = {key: _named(item, "" if name == "properties" else key) for key, item in named.items()}
    return {key: [item] if key in LISTS and isinstance(item, dict) else item for key, item in read.items()}


def generate(fields: Mapping[str, Json], model: str) -> None:
    """Look at a request for content. Raises: Refused."""
    if not fields.get("contents"):
        raise wrong("* GenerateContentRequest.contents: contents is not specified")
    record(**GENERATE)(fields, "")
    why = next(_wrong(fields, MODELS[model].split()), None)
    if why:
        raise wrong(why)


def _wrong(fields: Mapping[str, Json], traits: list[str]) -> Iterator[str]:
    yield from _of_turns(fields["contents"], traits)
    yield from _of_tools(fields, traits)
    yield from _of_config(fields.get("generationConfig", {}), traits)
    kinds = [item["category"] for item in fields.get("safetySettings", ())]
    if len(set(kinds)) < len(kinds):
        yield INVALID
    if "cachedContent" in fields and {"systemInstruction", "tools", "toolConfig"} & set(fields):
        yield INVALID


def _of_turns(contents: list[Json], traits: list[str]) -> Iterator[str]:
    called, before = 0, ""
    for turn in contents:
        calls = [part for part in turn["parts"] if "functionCall" in part]
        answers = sum("functionResponse" in part for part in turn["parts"])
        if answers and not called:
            yield "Please ensure that function response turn comes immediately after a function call turn."
        if answers != called:
            yield (
                "Please ensure that the number of function response parts is equal to the number of function call "
                "parts of the function call turn."
            )
        if calls and before not in ("user", "function"):
            yield (
                "Please ensure that function call turn comes immediately after a user turn or after a function "
                "response turn."
            )
        if "signs" in traits and calls and "thoughtSignature" not in calls[0]:
            name, position = calls[0]["functionCall"]["name"], turn["parts"].index(calls[0]) + 1
            yield (
                "Function call is missing a thought_signature in functionCall parts. This is required for tools to "
                "work correctly, and missing thought_signature may lead to degraded model performance. Additional "
                f"data, function call `default_api:{name}`, position {position}. Please refer to "
                "https://ai.google.dev/gemini-api/docs/thought-signatures for more details."
            )
        called, before = len(calls), turn.get("role", "user")
    if before == "model" and "user-last" in traits:
        yield "Requests ending with a model turn are not supported."


def _of_tools(fields: Mapping[str, Json], traits: list[str]) -> Iterator[str]:
    names = [item["name"] for tool in fields.get("tools", ()) for item in tool.get("functionDeclarations", ())]
    if len(names) > len(set(names)):
        yield "Duplicate function declaration found"
    hosted = any(set(HOSTED) & set(tool) for tool in fields.get("tools", ()))
    if "plain-tools" in traits and fields.get("generationConfig", {}).get("responseMimeType") == "application/json":
        if names:
            yield "Function calling with a response mime type: 'application/json' is unsupported"
        if hosted:
            yield "Tool use with a response mime type: 'application/json' is unsupported"
    if "plain-tools" in traits and names and hosted:
        yield "Tool use with function calling is unsupported"
    chosen = fields.get("toolConfig", {}).get("functionCallingConfig", {})
    allowed = chosen.get("allowedFunctionNames", ())
    if allowed and (chosen.get("mode", "").upper() not in ("ANY", "VALIDATED") or not set(allowed) <= set(names)):
        yield INVALID


def _of_config(config: Mapping[str, Json], traits: list[str]) -> Iterator[str]:
    schemas, thinking = {"responseSchema", "responseJsonSchema"} & set(config), config.get("thinkingConfig", {})
    if len(schemas) > 1 or (schemas and config.get("responseMimeType") not in ("application/json", "text/x.enum")):
        yield INVALID
    if "logprobs" in config and not config.get("responseLogprobs"):
        yield INVALID
    if [kind for kind in config.get("responseModalities", ()) if kind.upper() != "TEXT"]:
        yield INVALID
    if config.get("candidateCount", 1) > 1 and "single" in traits:
        yield "Multiple candidates is not enabled for this model"
    if "thinkingConfig" in config and "thinks" not in traits:
        yield INVALID
    if {"thinkingLevel", "thinkingBudget"} <= set(thinking):
        yield "You can only set only one of thinking budget and thinking level."
    if "thinkingLevel" in thinking and "levels" not in traits:
        yield INVALID
    if thinking.get("includeThoughts") and thinking.get("thinkingBudget", 0 if "512" in traits else -1) == 0:
        yield "Thinking_config.include_thoughts is only enabled when thinking is enabled."
    budget, bounds = thinking.get("thinkingBudget", -1), [int(word) for word in traits if word.isdigit()]
    if budget == 0 and "always" in traits:
        yield "Budget 0 is invalid. This model only works in thinking mode."
    if bounds and budget != -1 and not bounds[0] <= budget <= bounds[1] and budget:
        yield f"The thinking budget ({budget}) is invalid."
