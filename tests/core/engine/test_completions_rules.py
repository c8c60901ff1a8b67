"""What OpenAI's facts rule out of a legacy completion, though its schema allows it."""

from __future__ import annotations

from typing import Any

import pytest
from build import body_of, make_session

OPTIONS = {"include_usage": True}
CHOICES = (
    "You requested that the server return more choices than it will generate (HINT: you must set 'n' (currently 3) "
    "to be at most 'best_of' (currently 2), or omit either parameter if you don't specifically want to use them.)"
)
STREAMED = "Invalid value for 'best_of': only 1 is supported when 'stream' is enabled."
NO_STREAM = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
NO_SUFFIX = "Unsupported parameter: 'suffix' is not supported with this model."
BODIES: dict[str, tuple[dict[str, Any], tuple[str, str | None, str] | None]] = {
    "fewer candidates than choices": ({"best_of": 2, "n": 3}, ("best_of", None, CHOICES)),
    "as many": ({"best_of": 3, "n": 3}, None),
    "no number of choices": ({"best_of": 0}, None),
    "no number of candidates": ({"n": 3}, None),
    "candidates of a stream": ({"best_of": 2, "stream": True}, ("best_of", None, STREAMED)),
    "one candidate of a stream": ({"best_of": 1, "stream": True}, None),
    "options of no stream": ({"stream_options": OPTIONS}, ("stream_options", None, NO_STREAM)),
    "options of a stream": ({"stream_options": OPTIONS, "stream": True}, None),
    "a suffix": ({"model": "babbage-002", "suffix": "x"}, ("suffix", "unsupported_parameter", NO_SUFFIX)),
    "a suffix for the model that has it": ({"suffix": "x"}, None),
    "no suffix": ({"model": "babbage-002", "suffix": None}, None),
}


@pytest.mark.parametrize(("body", "refused"), BODIES.values(), ids=BODIES)
def test_a_completion(body: dict[str, Any], refused: tuple[str, str | None, str] | None) -> None:
    live = make_session({"rules": []}, provider="openai")
    asked = {"model": "gpt-3.5-turbo-instruct", "prompt": "Hi", **body}
    exchange = live.send("openai", asked, path="/completions")
    error = None if exchange.timeline.status == 200 else body_of(exchange)["error"]
    assert (error and (error["param"], error["code"], error["message"])) == refused
