"""Defects of Azure's Responses as the independent endpoint has them; see `defects`."""

from __future__ import annotations

from dataclasses import replace

from independent.defect import Defect
from independent.endpoint import Serve
from independent.misreadings import clamped, ignoring, taking
from independent.spoils import answering, as_status, asked, body, chunk, edited, events, gone, good, on, refusing, typed
from independent.values import Json, Reply, Request

MADE = "/openai/v1/responses"


def made(request: Request, reply: Reply) -> bool:
    return request.path == MADE and reply.status == 200 and reply.events is None


def kept(request: Request, reply: Reply) -> bool:
    return request.path.startswith(f"{MADE}/") and reply.status == 200


def constant(value: Json) -> Json:
    return lambda _: value


def any_version(request: Request, serve: Serve) -> Reply:
    old = request.query.get("api-version", "") in ("2024-10-21", "2025-01-01-preview")
    return serve(replace(request, query={"api-version": "2025-04-01-preview"}) if old else request)


def no_files(items: Json) -> Json:
    """Read what refers to a file as a text."""
    text = [{"type": "input_text", "text": "A file."}]
    return (
        [{**item, "content": text} if "file_id" in str(item) else item for item in items] if _listed(items) else items
    )


def alone(items: Json) -> Json:
    """Leave calls, and what they gave, aside."""
    return (
        [item for item in items if not str(item.get("type")).startswith("function_call")] if _listed(items) else items
    )


def no_nonsense(items: Json) -> Json:
    return [item for item in items if item.get("type") != "nonsense"] if _listed(items) else items


def _listed(items: Json) -> bool:
    return isinstance(items, list) and all(isinstance(item, dict) for item in items)


def any_role(items: Json) -> Json:
    return [{**item, "role": "user"} if "role" in item else item for item in items] if _listed(items) else items


def texts(values: Json) -> Json:
    return {name: str(value) for name, value in values.items()} if isinstance(values, dict) else values


def first_event(kind: str, path: str, change: Json) -> Json:
    """Change each event of a kind."""
    return events(lambda items: [edited(item, path.split("."), change) if item.get("type") == kind else item
                                 for item in items])  # fmt: skip


RESPONSES = (
    # requests
    Defect("az-r-path", "responses are not there", refusing(made, 404), "gets 200"),
    Defect("az-r-path", "any stream is one", taking("stream", bool), "stream 1"),
    Defect("az-r-version", "any version is good", any_version, "gets 400", "observed"),
    Defect("az-r-preview", "any version is good", any_version, "gets 404", "observed"),
    Defect("az-r-version", "the older path is not there", on(
        lambda request: request.path.startswith("/openai/responses"), refusing(good, 404)), "gets 200", "observed"),
    Defect("az-r-input", "a number is a text", taking("input", lambda value: str(value) if value == 5 else value),
           "input 5"),
    Defect("az-r-input", "any role is the user's", taking("input", any_role), "narrator"),
    Defect("az-r-image-file", "a file is an image", taking("input", no_files), "gets 400"),
    Defect("az-r-items", "unknown items are left aside", taking("input", no_nonsense), "nonsense"),
    Defect("az-r-items", "calls are no items", refusing(asked(
        lambda fields: "function_call" in str(fields.get("input")))), "gets 200"),
    Defect("az-r-turns", "calls need no answers", taking("input", alone), "gets 400", "observed"),
    Defect("az-r-turns", "it is told in other words", body("error.message", constant("no"), lambda request, reply:
           reply.status == 400), "error.message", "observed"),
    Defect("az-r-reference", "a lost item gets 404", as_status(404, asked(
        lambda fields: "msg_000" in str(fields.get("input")))), "gets 400", "observed"),
    Defect("az-r-instructions", "a number is a text",
           taking("instructions", lambda value: str(value) if value == 5 else value), "instructions 5"),
    Defect("az-r-instructions", "null is refused", refusing(asked(
        lambda fields: "instructions" in fields and fields["instructions"] is None)), "instructions null"),
    Defect("az-r-output-tokens", "the cap is clamped", clamped("max_output_tokens", 16, 1e9), "max_output_tokens 15",
           "observed"),
    Defect("az-r-sampling", "a temperature is clamped", clamped("temperature", 0, 2), "temperature 2.1"),
    Defect("az-r-sampling", "top_p is clamped", clamped("top_p", 0, 1), "top_p 1.1"),
    Defect("az-r-sampling", "20 tokens are too many", refusing(asked(lambda fields: fields.get("top_logprobs") == 20)),
           "top_logprobs 20"),
    Defect("az-r-tools", "tools in chat's form are left aside", taking(
        "tools", lambda items: [] if "'function': {" in str(items) else items), "gets 400"),
    Defect("az-r-tools", "any word chooses", taking(
        "tool_choice", lambda value: "auto" if value == "all" else value), "all"),
    Defect("az-r-tools", "nothing is called", ignoring("tools", "tool_choice"), "tools"),
    Defect("az-r-text", "any form is text", taking("text", lambda value: {} if "xml" in str(value) else value), "xml"),
    Defect("az-r-text", "schemas are refused", refusing(asked(lambda fields: "schema" in str(fields.get("text")))),
           "gets 200"),
    Defect("az-r-reasoning", "any effort will do", ignoring("reasoning"), "huge"),
    Defect("az-r-reasoning", "null is refused", refusing(asked(
        lambda fields: "reasoning" in fields and fields["reasoning"] is None)), "reasoning null"),
    Defect("az-r-metadata", "numbers are texts", taking("metadata", texts), "metadata"),
    Defect("az-r-metadata", "any truncation is taken", ignoring("truncation"), "never"),
    Defect("az-r-metadata", "nobody is a user", refusing(asked(lambda fields: fields.get("user") == "u-1")), "user"),
    Defect("az-r-include", "anything may be included", ignoring("include"), "nonsense"),
    Defect("az-r-include", "nothing may be included", refusing(asked(lambda fields: "include" in fields)), "gets 200"),
    Defect("az-r-fields", "unknown fields are left aside", ignoring("nonsense"), "nonsense 1", "observed"),
    Defect("az-r-fields", "another code is told", body("error.code", constant("unknown_parameter"), asked(
        lambda fields: "messages" in fields)), "error.code", "observed"),
    # what is kept
    Defect("az-r-store", "nothing is kept", body("store", constant(False), made), "store"),
    Defect("az-r-store", "a number is a boolean", taking("store", bool), "store 1"),
    Defect("az-r-previous", "no response has one before", ignoring("previous_response_id"), "previous_response_id"),
    Defect("az-r-previous", "a chain is refused", refusing(asked(lambda fields: fields.get("previous_response_id"))),
           "is answered with"),
    Defect("az-r-previous-missing", "a lost response gets 404", as_status(404, asked(
        lambda fields: fields.get("previous_response_id") == "resp_000")), "gets 400", "observed"),
    Defect("az-r-background", "it is made at once", ignoring("background"), "status"),
    Defect("az-r-background", "it need not be kept", taking("store", constant(True)), "store false"),
    Defect("az-r-get", "a response is not kept", refusing(kept, 404), "GET /openai/v1/responses/${0}"),
    Defect("az-r-get", "events are told from the first", on(
        lambda request: "starting_after" in request.query, lambda request, serve: serve(
            replace(request, query={"stream": "true"}))), "sequence_number"),
    Defect("az-r-delete", "it is called a response", body("object", constant("response"), kept), "object"),
    Defect("az-r-delete", "deleting says nothing", body("deleted", gone, kept), "deleted is required"),
    Defect("az-r-missing", "a lost response is a bad request", as_status(400, lambda request, reply:
           reply.status == 404), "resp_000", "observed"),
    Defect("az-r-input-items", "items have no type", body("data.*.type", gone, kept), "type is required"),
    Defect("az-r-input-items", "a list has no end", body("has_more", gone, kept), "has_more"),
    # answers and streams
    Defect("az-r-response", "no end is told", body("completed_at", gone, made), "completed_at", "observed"),
    Defect("az-r-output", "a text has no annotations", body("output.*.content.*.annotations", gone, made),
           "annotations", "observed"),
    Defect("az-r-usage", "usage has chat's names", body("usage", constant(
        {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}), made), "input_tokens"),
    Defect("az-r-usage", "no details are told", body("usage.output_tokens_details", gone, made),
           "output_tokens_details"),
    Defect("az-r-filters", "no results are told", body("content_filters", gone, made), "content_filters"),
    Defect("az-r-filters", "only the prompt is looked at", body("content_filters", lambda items: items[:1], made),
           "content_filters"),
    Defect("az-r-filters", "results are chat's", body("content_filters.*.content_filter_results", gone, made),
           "content_filter_results is required"),
    Defect("az-r-stream", "events are not numbered", chunk("sequence_number", gone), "sequence_number is required",
           "observed"),
    Defect("az-r-stream", "deltas are not padded", typed("response.output_text.delta", "obfuscation"), "obfuscation",
           "observed"),
    Defect("az-r-stream-filters", "results are told at once", first_event(
        "response.created", "response.content_filters", constant([])), "content_filters", "observed"),
    Defect("az-r-stream-call", "the end of a call names it", answering(lambda reply: replace(reply, events=tuple(
        {**item, "name": "look"} for item in reply.events or ())), lambda request, reply: reply.events is not None),
           "the answer's", "observed"),
    Defect("az-r-context", "windows have no end", ignoring("max_output_tokens"), "gets 400", "observed"),
)  # fmt: skip
