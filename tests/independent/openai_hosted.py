"""The items and tools of what OpenAI runs itself, as its reference says them: here only their form counts."""

from __future__ import annotations

from independent.shapes import (
    Shape,
    anything,
    array,
    boolean,
    either,
    integer,
    mapping,
    null_or,
    number,
    record,
    tagged,
    text,
    words,
)

STRING, NULLABLE, OBJECT = text(), null_or(text()), record(is_open=True)
TEXTS, COUNT, CALL_ID, LONG = array(STRING), null_or(integer()), text(1, 64), text(most=10485760)
STATUS = words("in_progress", "completed", "incomplete")
CALLERS = null_or(array(words("direct", "programmatic"), 1))
CALLER = null_or(tagged("type", {
    "direct": OBJECT, "program": record("caller_id", True, caller_id=text(1, 64))}))  # fmt: skip


def kind(required: str = "", **fields: Shape) -> Shape:
    """An object that its type tells, of which more can come to be known."""
    return record(f"type {required}", True, **fields)


def _asked(required: str = "", **fields: Shape) -> Shape:
    """A part of a call that the client carries out."""
    fields = {"id": NULLABLE, "call_id": CALL_ID, "caller": CALLER, "status": null_or(STATUS), **fields}
    return kind(required, **fields)


# Items

KEYS = null_or(TEXTS)
PLACE = {"x": integer(), "y": integer()}
ACTION = tagged("type", {
    "click": kind("button x y", button=words("left", "right", "wheel", "back", "forward"), keys=KEYS, **PLACE),
    "double_click": kind("x y keys", keys=KEYS, **PLACE), "move": kind("x y", keys=KEYS, **PLACE),
    "drag": kind("path", path=array(record("x y", True, **PLACE)), keys=KEYS), "keypress": kind("keys", keys=TEXTS),
    "scroll": kind("x y scroll_x scroll_y", scroll_x=integer(), scroll_y=integer(), keys=KEYS, **PLACE),
    "type": kind("text", text=STRING), "screenshot": kind(), "wait": kind(),
})  # fmt: skip
CHECKS = array(record("id", True, id=STRING, code=NULLABLE, message=NULLABLE))
SEARCHED = tagged("type", {
    "search": kind(query=STRING, queries=TEXTS, sources=array(kind("url", type=words("url"), url=STRING))),
    "open_page": kind(url=NULLABLE), "find_in_page": kind("url pattern", url=STRING, pattern=STRING),
})  # fmt: skip
ATTRIBUTE = either("a value", string=text(most=512), integer=anything, number=anything, boolean=anything)
FOUND = record(is_open=True, file_id=STRING, text=STRING, filename=STRING, score=number(),
               attributes=null_or(mapping(ATTRIBUTE, 16, 64)))  # fmt: skip
EXEC = kind("command env", type=words("exec"), command=TEXTS, timeout_ms=COUNT, working_directory=NULLABLE,
            env=mapping(STRING), user=NULLABLE)  # fmt: skip
PRINTED = record("stdout stderr outcome", True, stdout=LONG, stderr=LONG, outcome=tagged("type", {
    "timeout": kind(), "exit": kind("exit_code", exit_code=integer())}))  # fmt: skip
SKILLS = array(record("name description path", True, name=STRING, description=STRING, path=STRING), most=200)
PLACES = {"local": kind(skills=SKILLS), "container_reference": kind("container_id", container_id=STRING)}
PATH = text(1)
PATCHED = tagged("type", {
    **dict.fromkeys(("create_file", "update_file"), kind("path diff", path=PATH, diff=LONG)),
    "delete_file": kind("path", path=PATH),
})  # fmt: skip
LISTED = record("name input_schema", True, name=STRING, description=NULLABLE, input_schema=OBJECT,
                annotations=null_or(OBJECT))  # fmt: skip
FAILED = kind("code message", code=integer(), message=STRING)
FAILURE = tagged("type", {
    "mcp_protocol_error": FAILED, "http_error": FAILED, "mcp_tool_execution_error": kind("content")})  # fmt: skip
OF_SERVER = {"id": STRING, "server_label": STRING, "name": STRING, "arguments": STRING}
WORKED = ("in_progress", "completed")


def hosted_items(tools: Shape) -> dict[str, Shape]:
    """Return the items, by their type; `tools` are a list of tools."""
    return {
        "file_search_call": kind(
            "id status queries", id=STRING, queries=TEXTS, results=null_or(array(FOUND)),
            status=words(*WORKED, "searching", "incomplete", "failed")),
        "computer_call": kind(
            "id call_id pending_safety_checks status", id=STRING, call_id=STRING, action=ACTION, actions=array(ACTION),
            pending_safety_checks=CHECKS, status=STATUS),
        "computer_call_output": kind(
            "call_id output", id=NULLABLE, call_id=CALL_ID, acknowledged_safety_checks=null_or(CHECKS),
            status=null_or(STATUS),
            output=kind(type=words("computer_screenshot"), image_url=STRING, file_id=STRING)),
        "web_search_call": kind("id status action", id=STRING, status=words(*WORKED, "searching", "failed"),
                                action=SEARCHED),
        "image_generation_call": kind("id status result", id=STRING, result=NULLABLE,
                                      status=words(*WORKED, "generating", "failed")),
        "code_interpreter_call": kind(
            "id status container_id code outputs", id=STRING, container_id=STRING, code=NULLABLE,
            status=words(*WORKED, "incomplete", "interpreting", "failed"), outputs=null_or(array(tagged("type", {
                "logs": kind("logs", logs=STRING), "image": kind("url", url=STRING)})))),
        "local_shell_call": kind("id call_id action status", id=STRING, call_id=STRING, action=EXEC, status=STATUS),
        "local_shell_call_output": kind("id output", id=STRING, output=STRING, status=null_or(STATUS)),
        "shell_call": _asked("call_id action", environment=null_or(tagged("type", PLACES)), action=record(
            "commands", True, commands=TEXTS, timeout_ms=COUNT, max_output_length=COUNT)),
        "shell_call_output": _asked("call_id output", output=array(PRINTED), max_output_length=COUNT),
        "apply_patch_call": _asked("call_id status operation", operation=PATCHED, status=words(*WORKED)),
        "apply_patch_call_output": _asked("call_id status", status=words("completed", "failed"), output=null_or(LONG)),
        "mcp_list_tools": kind("id server_label tools", id=STRING, server_label=STRING, tools=array(LISTED),
                               error=NULLABLE),
        "mcp_approval_request": kind("id server_label name arguments", **OF_SERVER),
        "mcp_approval_response": kind("approval_request_id approve", id=NULLABLE, approval_request_id=STRING,
                                      approve=boolean, reason=NULLABLE),
        "mcp_call": kind("id server_label name arguments", **OF_SERVER, output=NULLABLE, error=null_or(FAILURE),
                         status=words(*WORKED, "incomplete", "calling", "failed"), approval_request_id=NULLABLE),
        "tool_search_call": _asked("arguments", call_id=null_or(CALL_ID), caller=anything,
                                   execution=words("server", "client"), arguments=OBJECT),
        "tool_search_output": _asked("tools", call_id=null_or(CALL_ID), caller=anything,
                                     execution=words("server", "client"), tools=tools),
        "additional_tools": kind("role tools", id=NULLABLE, role=words("developer"), tools=tools),
        "compaction": kind("encrypted_content", id=NULLABLE, encrypted_content=text(most=20971520)),
        "compaction_trigger": kind(),
        "program": kind("id call_id code fingerprint", id=STRING, call_id=CALL_ID, code=LONG, fingerprint=LONG),
        "program_output": kind("id call_id result status", id=STRING, call_id=CALL_ID, result=LONG,
                               status=words("completed", "incomplete")),
    }  # fmt: skip


# Tools

USER = {"type": words("approximate"), **dict.fromkeys(("country", "region", "city", "timezone"), NULLABLE)}
SIZE = words("low", "medium", "high")
SCALAR = {"string": STRING, "integer": anything, "number": anything}
COMPARED = record("type key value", type=STRING, key=STRING, value=either(
    "a value", **SCALAR, boolean=anything, array=array(either("a string or a number", **SCALAR))))  # fmt: skip


def _filter(value: object, at: str) -> None:
    FILTER(value, at)


FILTER = tagged("type", {
    **dict.fromkeys(("eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"), COMPARED),
    **dict.fromkeys(("and", "or"), record("type filters", type=STRING, filters=array(_filter))),
})  # fmt: skip
RANKING = record(
    is_open=True, ranker=words("auto", "default-2024-11-15"), score_threshold=number(), hybrid_search=record(
        "embedding_weight text_weight", True, embedding_weight=number(), text_weight=number()),
)  # fmt: skip
WEB = kind(
    external_web_access=boolean, search_context_size=SIZE,
    filters=null_or(record(is_open=True, allowed_domains=null_or(TEXTS))),
    user_location=null_or(record(is_open=True, **USER)),
)  # fmt: skip
PREVIEW = kind(user_location=null_or(kind(**USER)), search_context_size=SIZE,
               search_content_types=array(words("text", "image")))  # fmt: skip
CHOSEN = record(tool_names=TEXTS, read_only=boolean)
MCP = kind(
    "server_label", server_label=STRING, server_url=STRING, authorization=STRING, server_description=STRING,
    connector_id=words(*(f"connector_{name}" for name in (
        "dropbox", "gmail", "googlecalendar", "googledrive", "microsoftteams", "outlookcalendar", "outlookemail",
        "sharepoint"))),
    tunnel_id=text(form=r"^tunnel_[a-z0-9]{32}\Z"), headers=null_or(mapping(STRING)), allowed_callers=CALLERS,
    defer_loading=boolean, allowed_tools=either("names or a filter", null=anything, array=TEXTS, object=CHOSEN),
    require_approval=either("a word or a filter", null=anything, string=words("always", "never"),
                            object=record(always=CHOSEN, never=CHOSEN)),
)  # fmt: skip
SECRET = record("domain name value", True, domain=text(1), name=text(1), value=text(1, 10485760))
CONTAINER = {
    "file_ids": array(STRING, most=50), "memory_limit": null_or(words("1g", "4g", "16g", "64g")),
    "network_policy": tagged("type", {"disabled": kind(), "allowlist": kind(
        "allowed_domains", allowed_domains=array(STRING, 1), domain_secrets=array(SECRET, 1))}),
}  # fmt: skip
PACKED = kind("media_type data", type=words("base64"), media_type=words("application/zip"), data=text(1, 70254592))
SKILL = tagged("type", {
    "skill_reference": kind("skill_id", skill_id=text(1, 64), version=STRING),
    "inline": kind("name description source", name=STRING, description=STRING, source=PACKED),
})  # fmt: skip
IMAGES = kind(
    model=STRING, quality=words("low", "medium", "high", "auto"), size=STRING,
    output_format=words("png", "webp", "jpeg"), output_compression=integer(0, 100), moderation=words("auto", "low"),
    background=words("transparent", "opaque", "auto"), input_fidelity=null_or(words("high", "low")),
    input_image_mask=record(image_url=STRING, file_id=STRING), partial_images=integer(0, 3),
    action=words("generate", "edit", "auto"),
)  # fmt: skip
HOSTED_TOOLS: dict[str, Shape] = {
    "web_search": WEB, "web_search_2025_08_26": WEB, "web_search_preview": PREVIEW,
    "web_search_preview_2025_03_11": PREVIEW, "image_generation": IMAGES, "mcp": MCP,
    "shell": kind(allowed_callers=CALLERS, environment=null_or(tagged("type", {
        "container_auto": kind(**CONTAINER, skills=array(SKILL, most=200)), **PLACES}))),
    "apply_patch": kind(allowed_callers=CALLERS),
    "tool_search": kind(execution=words("server", "client"), description=NULLABLE, parameters=null_or(OBJECT)),
    "file_search": kind("vector_store_ids", vector_store_ids=TEXTS, max_num_results=integer(),
                        ranking_options=RANKING, filters=null_or(FILTER)),
    "code_interpreter": kind("container", allowed_callers=CALLERS, container=either(
        "a string or an object", string=STRING, object=kind(type=words("auto"), **CONTAINER))),
    "computer_use_preview": kind(
        "environment display_width display_height", display_width=integer(), display_height=integer(),
        environment=words("windows", "mac", "linux", "ubuntu", "browser")),
    **dict.fromkeys(("computer", "local_shell", "programmatic_tool_calling"), OBJECT),
}  # fmt: skip
