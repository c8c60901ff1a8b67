"""Defects of OpenAI's API as the independent endpoint has it; see `defects`."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

from independent.defect import Defect
from independent.endpoint import Spoil

# isort: off
from independent.misreadings import (
    a_key, clamped, filling, ignoring, listed, reading, taking, taking_messages,
)  # fmt: skip
from independent.spoils import (
    answering, asked, at, body, chunk, cumulative, events, good, gone, lacking, of_calls,
    on, refusing, setting, status, streamed, typed,
)  # fmt: skip

# isort: on
from independent.values import Json

_count = itertools.count()

CHAT, RESPONSES, EMBEDDINGS = at("/chat/completions"), at("/responses"), at("/embeddings")


def at_responses(spoil: Spoil) -> Spoil:
    return on(lambda request: request.path == "/responses", spoil)


def of_error(name: str, value: Json) -> Spoil:
    """Give the same type, code or param to every error."""
    return body(f"error.{name}", lambda _: value, lambda request, reply: reply.status >= 400)


def is_of(message: Json, role: str) -> bool:
    return isinstance(message, dict) and message.get("role") == role


def arguments_as_text(message: Json) -> Json:
    """Read whatever a call's arguments are as the text of it."""
    if not isinstance(message, dict) or not message.get("tool_calls"):
        return message
    calls = [
        {**call, "function": {**call["function"], "arguments": json.dumps(call["function"].get("arguments"))}}
        for call in message["tool_calls"]
    ]
    return {**message, "tool_calls": calls}


def of_tools(**said: Json) -> Spoil:
    """Read something else in each tool that is a function."""

    def read(item: Json) -> Json:
        function = isinstance(item, dict) and item.get("function")
        return {**item, "function": {**function, **said}} if function else item

    return taking("tools", lambda items: [read(item) for item in items] if isinstance(items, list) else items)


OPENAI = (
    # keys and headers
    Defect("oa-base-url", "chat answers under another path", refusing(CHAT, 404), "gets 200"),
    Defect("oa-auth-bearer", "a wrong key is good", a_key(lambda given: given.startswith("Bearer "), "sk-key"),
           "a wrong key gets 401"),
    Defect("oa-auth-wrong-key", "a wrong key has no code of its own", of_error("code", None), "code"),
    Defect("oa-auth-missing", "no key is a wrong key", of_error("code", "invalid_api_key"), "code"),
    Defect("oa-json-body", "answers are text", setting("Content-Type", lambda _: "text/plain", CHAT),
           "is answered in JSON"),
    Defect("oa-request-id", "every request has the same id", setting("x-request-id", lambda _: "req_1"),
           "each answer has another"),
    Defect("oa-hdr-org", "no organization is told", lacking("openai-organization"), "openai-organization"),
    Defect("oa-hdr-processing", "the time is told with its unit",
           setting("openai-processing-ms", lambda _: "7 ms", good), "has the documented form"),
    Defect("oa-hdr-version", "the version is of another day", setting("openai-version", lambda _: "2026-01-01", good),
           "has the documented form"),
    Defect("oa-rl-limit-requests", "the limit of requests is not told", lacking("x-ratelimit-limit-requests"),
           "x-ratelimit-limit-requests"),
    Defect("oa-rl-remaining-tokens", "the tokens left are a share",
           setting("x-ratelimit-remaining-tokens", lambda _: "99%", good), "has the documented form"),
    Defect("oa-rl-reset-requests", "the reset is a time", setting("x-ratelimit-reset-requests", lambda _: "1795000000"),
           "has the documented form"),
    Defect("oa-rl-present", "streams tell no limits", lacking("x-ratelimit", streamed), "a request for a stream"),
    # errors
    Defect("oa-err-envelope", "an error is a string", body("error", lambda error: error["message"], status(400)),
           "error"),
    Defect("oa-err-400", "the type is of the server", of_error("type", "server_error"), "error.type"),
    Defect("oa-err-400", "no param is named", of_error("param", None), "error.param"),
    # chat: what it is asked with
    Defect("oa-chat-required", "no messages are an empty talk", filling(messages=[{"role": "user", "content": "Hi"}]),
           "no messages gets 400"),
    Defect("oa-chat-messages", "a string is one message", taking("messages", listed), 'messages "Hello" gets 400'),
    Defect("oa-chat-temperature", "a temperature out of range is moved into it", clamped("temperature", 0, 2),
           "temperature -0.1 gets 400"),
    Defect("oa-chat-temperature", "the default temperature is 0.7", filling(temperature=0.7), "without temperature"),
    Defect("oa-chat-top-p", "top_p has no upper bound", clamped("top_p", -9, 1), "top_p 1.1 gets 400"),
    Defect("oa-chat-presence-penalty", "a penalty of any size is taken", clamped("presence_penalty", -2, 2),
           "presence_penalty -2.1 gets 400"),
    Defect("oa-chat-n", "n is not looked at", ignoring("n"), "n 0 gets 400"),
    Defect("oa-chat-max-completion-tokens", "the cap is ignored", ignoring("max_completion_tokens"),
           "max_completion_tokens 1 has 1 tokens"),
    Defect("oa-chat-max-tokens", "the old cap is ignored", ignoring("max_tokens"), "max_tokens 1 has 1 tokens"),
    Defect("oa-chat-stop", "any number of stops is taken",
           taking("stop", lambda value: value[:4] if isinstance(value, list) else value), "stop"),
    Defect("oa-chat-logit-bias", "a bias of any size is taken", ignoring("logit_bias"), "logit_bias"),
    Defect("oa-chat-logprobs", "1 is true", taking("logprobs", lambda value: bool(value)), "logprobs 1 gets 400"),
    Defect("oa-chat-top-logprobs", "20 at most are taken of more", clamped("top_logprobs", -9, 20), "21 gets 400"),
    Defect("oa-chat-seed", "the same seed says something else", reading(lambda fields: {**fields, "seed": next(_count)}
                                                                        if "seed" in fields else fields), "seed"),
    Defect("oa-chat-stream", "a string is true", taking("stream", bool), 'stream "true" gets 400'),
    Defect("oa-chat-stream-options", "options of a stream are not looked at", ignoring("stream_options"),
           "stream_options"),
    Defect("oa-chat-metadata", "metadata may hold numbers", ignoring("metadata"), "metadata"),
    Defect("oa-chat-service-tier", "any tier is taken", ignoring("service_tier"), 'service_tier "gold" gets 400'),
    Defect("oa-chat-reasoning-effort", "any effort is taken", ignoring("reasoning_effort"), "reasoning_effort"),
    Defect("oa-chat-response-format", "any format is text", ignoring("response_format"), "response_format"),
    Defect("oa-chat-response-format", "JSON may not be asked for", refusing(asked(
        lambda fields: fields.get("response_format") == {"type": "text"})), "gets 200"),
    Defect("oa-chat-null-params", "null is refused", refusing(asked(lambda fields: None in fields.values())),
           "gets 200"),
    # messages and tools
    Defect("oa-msg-roles", "the developer is unknown", refusing(asked(
        lambda fields: '"developer"' in json.dumps(fields))), "developer"),
    Defect("oa-msg-roles", "an unknown role is the user's", taking_messages(
        lambda item: {**item, "role": "user"} if is_of(item, "bot") else item), "bot"),
    Defect("oa-msg-user", "a content of numbers is a text", taking_messages(
        lambda item: {**item, "content": str(item.get("content"))} if isinstance(item, dict) else item), "gets 400"),
    Defect("oa-msg-part-image", "a URL alone is an image", taking_messages(
        lambda item: {**item, "content": "Look."} if "image_url" in json.dumps(item) else item), "image_url"),
    Defect("oa-msg-tool", "an answer needs no call's id", taking_messages(
        lambda item: {"tool_call_id": "call_1", **item} if is_of(item, "tool") else item), "gets 400"),
    Defect("oa-msg-arguments-string", "arguments may be an object", taking_messages(arguments_as_text), "gets 400"),
    Defect("oa-tool-function", "arguments are no JSON",
           body("choices.*.message.tool_calls.*.function.arguments", lambda text: text.replace('"', "'")), "arguments"),
    Defect("oa-tool-function", "none of the tools may still be called",
           taking("tool_choice", lambda value: "auto" if value == "none" else value), "tool_choice none calls no tool"),
    Defect("oa-tool-name", "a tool may have any name", of_tools(name="f"), "gets 400"),
    Defect("oa-tool-parallel", "parallel_tool_calls is not looked at", ignoring("parallel_tool_calls"), "gets 400"),
    Defect("oa-tool-strict-schema", "strict is not looked at", of_tools(strict=False), "gets 400"),
    Defect("oa-x-stream-options", "options of a stream need none",
           taking("stream_options", lambda _: None), "stream_options"),
    Defect("oa-x-top-logprobs", "top_logprobs alone is enough", ignoring("top_logprobs"), "top_logprobs"),
    Defect("oa-x-json-word", "JSON needs no word", ignoring("response_format"), "response_format"),
    Defect("oa-x-content-null", "an assistant may have said nothing", taking_messages(
        lambda item: {**item, "content": item.get("content") or ""} if isinstance(item, dict) else item), "gets 400"),
    Defect("oa-r-max-tokens", "models that reason take max_tokens", ignoring("max_tokens"), "max_tokens"),
    # chat: what it answers
    Defect("oa-res-fields", "nobody knows when it was made", body("created", gone, CHAT), "created is required"),
    Defect("oa-res-id", "ids are of another make", body("id", lambda _: "cmpl_1", CHAT), "id"),
    Defect("oa-res-choice", "a choice has no index", body("choices.*.index", gone, CHAT), "index is required"),
    Defect("oa-res-finish", "a reply ends with done", body("choices.*.finish_reason", lambda _: "done", CHAT),
           "finish_reason"),
    Defect("oa-res-message", "a refusal is left out", body("choices.*.message.refusal", gone, CHAT),
           "refusal is required"),
    Defect("oa-res-usage", "each prompt has ten tokens",
           body("usage", lambda usage: {**usage, "prompt_tokens": 10,
                                        "total_tokens": 10 + usage["completion_tokens"]}, CHAT),
           "grows with the prompt"),
    Defect("oa-res-usage", "the total leaves the prompt out", body("usage.total_tokens", lambda _: 1, CHAT), "sum of"),
    Defect("oa-res-usage-prompt", "cached tokens are not told",
           body("usage.prompt_tokens_details.cached_tokens", gone, CHAT), "cached_tokens is required"),
    Defect("oa-res-logprobs", "no probabilities come", body("choices.*.logprobs", lambda _: None, CHAT), "logprobs"),
    Defect("oa-res-tool-calls", "a call has no id", body("choices.*.message.tool_calls.*.id", lambda _: "", CHAT),
           "a call has an id"),
    Defect("oa-chunk-object", "a chunk calls itself an answer", chunk("object", lambda _: "chat.completion"), "object"),
    Defect("oa-chunk-content", "each delta repeats what was said", events(
        lambda items: cumulative(items) if "choices" in json.dumps(items[0]) else items),
        "has only the text that is new"),
    Defect("oa-chunk-obfuscation", "what is streamed shows its length", chunk("obfuscation", gone),
           "obfuscation is required"),
    Defect("oa-chunk-tool-call", "the fragments of a call have no index", of_calls(
        lambda call: {**call, "index": None}), "has its index"),
    # embeddings, moderations, models, completions
    Defect("oa-emb-input", "only the first of a list is embedded", body("data", lambda items: items[:1], EMBEDDINGS),
           "data"),
    Defect("oa-emb-input-limits", "an empty text is taken", on(lambda request: request.path == "/embeddings", taking(
        "input", lambda value: value or "nothing")), 'input "" gets 400'),
    Defect("oa-emb-dimensions", "dimensions are ignored", ignoring("dimensions"), "embedding"),
    Defect("oa-emb-encoding", "vectors always come as numbers", ignoring("encoding_format"), "embedding"),
    Defect("oa-emb-response", "vectors have no index", body("data.*.index", gone, EMBEDDINGS), "index is required"),
    Defect("oa-mod-input", "one result for all", body("results", lambda items: items[:1], at("/moderations")),
           "results"),
    Defect("oa-mod-categories", "violence is not looked for",
           body("results.*.categories.violence", gone, at("/moderations")), "violence is required"),
    Defect("oa-models-list", "the models are a bare list",
           answering(lambda reply: replace(reply, body=reply.body["data"]), at("/models")), "JSON object"),
    Defect("oa-model-object", "nobody owns a model", body("data.*.owned_by", gone, at("/models")),
           "owned_by is required"),
    Defect("oa-comp-response", "a completion calls itself a chat", body("object", lambda _: "chat.completion",
                                                                        at("/completions")), "object"),
    Defect("oa-comp-prompt", "only the first prompt is answered", body("choices", lambda items: items[:1],
                                                                       at("/completions")), "choices"),
    Defect("oa-comp-params", "best_of has no bound", ignoring("best_of"), "best_of 21 gets 400"),
    # Responses
    Defect("oa-rq-path", "responses are not there", refusing(RESPONSES, 404), "gets 200"),
    Defect("oa-rq-input", "a number is a text", at_responses(taking("input", str)), "input 5 gets 400"),
    Defect("oa-rq-max-output-tokens", "less than 16 tokens may be asked for", at_responses(
        taking("max_output_tokens", lambda value: 16 if value == 15 else value)), "max_output_tokens 15 gets 400"),
    Defect("oa-rq-tools", "tools in chat's form are taken", at_responses(taking("tools", lambda _: [])), "gets 400"),
    Defect("oa-rq-include", "anything may be included", at_responses(ignoring("include")), "include"),
    Defect("oa-rq-truncation", "any truncation is taken", at_responses(ignoring("truncation")),
           'truncation "never" gets 400'),
    Defect("oa-rq-json-word", "JSON needs no word here", at_responses(ignoring("text")), "text"),
    Defect("oa-ro-required", "instructions are not echoed", body("instructions", gone, RESPONSES),
           "instructions is required"),
    Defect("oa-ro-ids", "an answer has a chat's id", body("id", lambda _: "chatcmpl-1", RESPONSES), "id"),
    Defect("oa-ro-status", "an answer is still under way", body("status", lambda _: "in_progress", RESPONSES),
           "status"),
    Defect("oa-ro-output", "the output is empty", body("output", lambda _: [], RESPONSES), "output"),
    Defect("oa-ro-output-text", "the SDK's output_text is sent", answering(
        lambda reply: replace(reply, body={**reply.body, "output_text": "Hi."}) if reply.body else reply, RESPONSES),
        "output_text"),
    Defect("oa-ro-text-part", "a text has no annotations", body("output.*.content.*.annotations", gone, RESPONSES),
           "annotations"),
    Defect("oa-ro-usage", "usage has chat's names", body("usage", lambda usage: {
        "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}, RESPONSES), "input_tokens"),
    Defect("oa-rs-seq", "events are not numbered", chunk("sequence_number", gone), "sequence_number is required"),
    Defect("oa-rs-created", "the first event holds no response", typed("response.created", "response"),
           "response is required"),
    Defect("oa-rs-text-delta", "a delta is of no item", typed("response.output_text.delta", "item_id"),
           "item_id is required"),
    Defect("oa-rs-text-done", "the whole text is not repeated", typed("response.output_text.done", "text"),
           "text is required"),
    Defect("oa-rs-completed", "the last event holds no response", typed("response.completed", "response"), "response"),
    Defect("oa-rp-get", "an answer is not kept", refusing(
        lambda request, reply: request.path.startswith("/responses/resp_"), 404), "GET /responses/${0}"),
    Defect("oa-rp-delete", "deleting says nothing", body("deleted", gone), "deleted is required"),
    Defect("oa-rp-input-items", "the items are a bare list", answering(
        lambda reply: replace(reply, body=reply.body["data"]), lambda request, reply: "input_items" in request.path),
        "input_items"),
    Defect("oa-rp-input-tokens", "tokens are told as a count", body("input_tokens", gone), "input_tokens is required"),
    Defect("oa-chat-stored-get", "a stored chat is not kept", refusing(
        lambda request, reply: request.path.startswith("/chat/completions/"), 404), "GET /chat/completions/${0}"),
    Defect("oa-chat-stored-update", "metadata stays as it was", body("metadata", lambda _: {"a": "b"}), "metadata"),
)  # fmt: skip
