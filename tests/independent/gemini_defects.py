"""Defects of Gemini's API as the independent endpoint has it; see `defects`."""

from __future__ import annotations

import re
from dataclasses import replace

from independent.defect import Defect
from independent.endpoint import Serve, Spoil
from independent.misreadings import header, objects, reading
from independent.spoils import (
    When,
    answering,
    as_status,
    body,
    chunk,
    gone,
    good,
    refusing,
    setting,
    status,
    streamed,
)
from independent.values import Json, Reply, Request


def to(method: str) -> When:
    return lambda request, reply: request.path.endswith(f":{method}") and reply.status == 200


GENERATE, COUNT, EMBED, BATCH = map(to, ("generateContent", "countTokens", "embedContent", "batchEmbedContents"))


def listed(request: Request, reply: Reply) -> bool:
    """Tell whether the answer is a stream that is an array."""
    return isinstance(reply.body, list) and reply.status == 200


def names(pattern: str) -> Spoil:
    """Refuse what has a text anywhere."""
    return refusing(lambda request, _: re.search(pattern.encode(), request.body) is not None)


def as_written(pattern: str, other: str) -> Spoil:
    """Read a text of the body as another."""

    def spoil(request: Request, serve: Serve) -> Reply:
        return serve(replace(request, body=re.sub(pattern.encode(), other.encode(), request.body)))

    return spoil


def without(name: str) -> Spoil:
    """Leave a field unread, wherever it stands."""
    return reading(_without(name))


def _without(name: str) -> Json:
    leave = objects(lambda value: {key: leave(item) for key, item in value.items() if key != name})
    return leave


def of_path(pattern: str, other: str) -> Spoil:
    return lambda request, serve: serve(replace(request, path=re.sub(pattern, other, request.path)))


def message(text: str) -> Spoil:
    return body("error.message", lambda _: text, status(400))


GEMINI = (
    # addresses and keys
    Defect("ge-base-url", "content is made elsewhere", refusing(GENERATE, 404), "gets 200"),
    Defect("ge-versions", "aliases are unknown", of_path("flash-latest", "gone"), "gets 200"),
    Defect("ge-auth", "any key is good", header("x-goog-api-key", lambda _: "AIza-key"), "a wrong key gets 400"),
    Defect("ge-auth", "no key gets 401", as_status(401, status(403)), "no key gets 403"),
    Defect("ge-path-generate", "a stream has no candidates", chunk("candidates", gone), "candidates"),
    Defect("ge-path-models", "a model is named without its collection", body(
        "name", lambda name: name.removeprefix("models/")), "name"),
    Defect("ge-query-alt", "alt=sse is not known", lambda request, serve: serve(replace(request, query={})),
           "a stream has its content type"),
    Defect("ge-query-alt", "an array has one item too few", answering(
        lambda reply: replace(reply, body=reply.body[:1]), listed), "is a list"),
    # how JSON is read and written
    Defect("ge-json-names", "snake case is unknown", names("[a-z]_[a-z]+\": [{\\[]"), "gets 200"),
    Defect("ge-json-names", "the two spellings are one", as_written("generationConfig", "generation_config"),
           "gets 400"),
    Defect("ge-json-bytes", "base64 is for files alone", names("_-8="), "gets 200"),
    Defect("ge-json-bytes", "any text is base64", as_written("not base64!", "aGk="), "gets 400"),
    Defect("ge-json-bytes", "a number of 64 bits is a number", names('"minItems": "2"'), "gets 200"),
    Defect("ge-json-zero", "zeros are told", body("usageMetadata", lambda usage: {**usage, "thoughtsTokenCount": 0},
                                                  GENERATE), "usageMetadata"),
    # requests
    Defect("ge-contents", "the model has said nothing", names('"model"'), "gets 200"),
    Defect("ge-role", "a turn needs a role", names('\\{"parts"'), "gets 200"),
    Defect("ge-part-kinds", "a part may be of two kinds", as_written('"text": "Hi.", "inlineData"', '"inlineData"'),
           "gets 400"),
    Defect("ge-part-kinds", "files are unknown", names("fileData"), "gets 200"),
    Defect("ge-part-fields", "a file needs no URI", as_written('"fileData": {"mimeType"', '"fileData": {"fileUri"'),
           "gets 400"),
    Defect("ge-part-fields", "a response may be a text", as_written('"response": "warm"', '"response": {}'),
           "gets 400"),
    Defect("ge-system", "a system prompt may be a text", as_written(
        '"systemInstruction": "Be brief."', '"systemInstruction": {}'), "gets 400"),
    Defect("ge-system", "a system prompt is refused", names("systemInstruction"), "gets 200"),
    Defect("ge-tools", "any tool is taken", as_written('"functions"', '"functionDeclarations"'), "gets 400"),
    Defect("ge-tools", "mode NONE is AUTO", as_written('"NONE"', '"AUTO"'), "calls no tool"),
    Defect("ge-fd-name", "a function may have any name", as_written('"name": "(get weather|9a)"', '"name": "f"'),
           "gets 400"),
    Defect("ge-fd-schema", "two schemas are taken", as_written('"parameters": {"type": "OBJECT"}, ', ""), "gets 400"),
    Defect("ge-schema", "JSON Schema is read", without("additionalProperties"), "gets 400"),
    Defect("ge-schema", "nothing is nullable", names("nullable"), "gets 200"),
    Defect("ge-schema-type", "a type is in large letters", names('"type": "object"'), "gets 200"),
    Defect("ge-schema-type", "any type is taken", as_written('"TEXT"', '"OBJECT"'), "gets 400"),
    Defect("ge-fcc", "any mode is AUTO", as_written("SOMETIMES", "AUTO"), "gets 400"),
    Defect("ge-fcc", "a mode is not known", names("VALIDATED"), "gets 200"),
    Defect("ge-fcc", "any function may be allowed", without("allowedFunctionNames"), "gets 400"),
    Defect("ge-safety", "any harm is known", as_written("RUDENESS", "HARASSMENT"), "gets 400"),
    Defect("ge-safety", "a harm may be told twice", without("safetySettings"), "gets 400"),
    Defect("ge-cached", "any name is a cache's", as_written(
        '"cachedContent": "a"', '"cachedContent": "cachedContents/a"'), "gets 400"),
    Defect("ge-service-tier", "any tier is taken", without("serviceTier"), "gets 400"),
    # generationConfig
    Defect("ge-temperature", "a temperature has no bound", without("temperature"), "gets 400"),
    Defect("ge-top-p", "topP may be a text", without("topP"), "gets 400"),
    Defect("ge-sampling-new", "the newest models take no temperature", refusing(
        lambda request, _: "3.8" in request.path and b"temperature" in request.body), "gets 200"),
    Defect("ge-candidate-count", "there is one candidate", names("candidateCount"), "gets 200"),
    Defect("ge-max-output", "the cap is ignored", without("maxOutputTokens"), "has 1 tokens"),
    Defect("ge-stop", "any number of stops is taken", without("stopSequences"), "gets 400"),
    Defect("ge-mime", "any form is a text", as_written("text/html", "text/plain"), "gets 400"),
    Defect("ge-mime", "a schema needs no form", without("responseSchema"), "gets 400"),
    Defect("ge-json-schema", "every keyword is known", without("dependentRequired"), "gets 400"),
    Defect("ge-penalties", "a penalty has no bound", without("presencePenalty"), "gets 400"),
    Defect("ge-penalties", "half a seed is rounded", as_written('"seed": 0.5', '"seed": 0'), "gets 400"),
    Defect("ge-logprobs", "logprobs alone is enough", without("logprobs"), "gets 400"),
    Defect("ge-modalities", "every model draws", without("responseModalities"), "gets 400"),
    Defect("ge-thinking", "a budget may be a word", without("thinkingBudget"), "gets 400"),
    Defect("ge-thinking", "every model thinks", without("thinkingConfig"), "gets 400"),
    Defect("ge-budget-range", "a budget has no bounds", without("thinkingBudget"), "gets 400"),
    Defect("ge-budget-range", "a budget of none is refused", names('"thinkingBudget": 0'), "gets 200"),
    # answers
    Defect("ge-r-shape", "an answer names no model", body("modelVersion", gone, GENERATE), "modelVersion is required"),
    Defect("ge-r-candidate", "nobody says it", body("candidates.*.content.role", gone, GENERATE), "role is required"),
    Defect("ge-r-finish", "a reply ends with END", body("candidates.*.finishReason", lambda _: "END", GENERATE),
           "finishReason"),
    Defect("ge-usage", "the total leaves the prompt out", body("usageMetadata.totalTokenCount", lambda _: 1, GENERATE),
           "sum of"),
    Defect("ge-usage", "each prompt has ten tokens", body(
        "usageMetadata", lambda usage: {**usage, "promptTokenCount": 10, "totalTokenCount":
                                        10 + usage.get("candidatesTokenCount", 0)}, GENERATE), "grows with the prompt"),
    Defect("ge-s-array", "an array is a page", setting("Content-Type", lambda _: "text/html", listed),
           "an array has its content type", "observed"),
    Defect("ge-s-sse", "a stream goes out as JSON", setting("Content-Type", lambda _: "application/json", streamed),
           "a stream has its content type"),
    Defect("ge-s-chunk", "chunks have no id", chunk("responseId", gone), "responseId is required"),
    Defect("ge-s-usage", "usage comes at the end", chunk("usageMetadata", gone), "usageMetadata is required",
           "observed"),
    Defect("ge-s-function", "a function has no name", body(
        "candidates.*.content.parts.*.functionCall.name", lambda _: "f", GENERATE), "the tool chosen is called",
           "observed"),
    Defect("ge-e-envelope", "an error has no status", body("error.status", gone, lambda request, reply:
                                                           reply.status >= 400), "status is required"),
    # counting, embeddings, models
    Defect("ge-count", "tokens are told as a count", body("totalTokens", gone, COUNT), "totalTokens is required"),
    Defect("ge-count", "contents beside a request are counted", without("generateContentRequest"), "gets 400"),
    Defect("ge-embed", "vectors have their own length", body("embedding.values", lambda values: values[:16], EMBED),
           "values"),
    Defect("ge-embed", "any task is taken", without("taskType"), "gets 400"),
    Defect("ge-embed-batch", "only the first is embedded", body("embeddings", lambda items: items[:1], BATCH),
           "embeddings"),
    Defect("ge-embed-models", "a vector may be of any size", without("outputDimensionality"), "gets 400"),
    Defect("ge-models-list", "there is one page", body("nextPageToken", gone, good), "nextPageToken is required"),
    Defect("ge-models-list", "a page is never the last", answering(
        lambda reply: replace(reply, body={**reply.body, "nextPageToken": "x"}) if "models" in reply.body else reply,
        good), "models?pageSize=5000"),
    Defect("ge-models-info", "nothing tells that a model thinks", body("thinking", gone, good), "thinking is required"),
    Defect("ge-m-ids", "the newest model is unknown", of_path("gemini-4-argon", "gone"), "gets 200"),
    Defect("ge-m-limits", "every model takes 128,000 tokens", body("inputTokenLimit", lambda _: 128_000, good),
           "inputTokenLimit"),
)  # fmt: skip
