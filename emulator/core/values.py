"""The values a request becomes: Request -> Call -> Claim -> Grant -> Timeline -> Exchange.

All frozen, for mypy (see `frozen`). Times are float seconds: `at` Unix seconds of the session's clock, those of frames
seconds after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Literal, NamedTuple

from emulator.core.durations import FOREVER
from emulator.core.errors import Json, Refusal
from emulator.core.frozen import frozen
from emulator.core.stored_answers import Keeping
from emulator.core.wires.request.conversation import Conversation, Message
from emulator.core.wires.wire import Wire

Headers = tuple[tuple[str, str], ...]
End = Literal["complete", "clean", "fin", "reset", "garbage"]

#: The state that a session begins in.
STARTED = "started"
#: Faults that only delay or divide what is sent: the answer that arrives is whole.
HARMLESS = frozenset(("stall", "slow_headers", "comment", "slice", "bandwidth", "merge"))


@frozen
class Request:
    """One HTTP message, routed: `path` is below the provider's base URL, header names are lower case."""

    session: str
    provider: str
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    at: float
    address: str  # the path as it was sent
    base_url: str  # of the provider, as this client reaches it
    too_large: bool = False  # the body passed the bound and was thrown away
    addressed: bool = False  # the path named the session
    real: float = 0.0  # real seconds, of a steady clock without a date
    recalled: bytes = b""  # the kept answer that it names, as JSON: see Recalled


@frozen
class Note:
    """Something accepted that the docs don't say, or an effect worth knowing."""

    fact: str | None
    path: str
    message: str


@frozen
class Call:
    """A Request that the provider has understood, with the `params` of its path.

    `body` is as sent; for GET the query parameters.
    """

    request: Request
    operation: str
    body: Mapping[str, Json]
    conversation: Conversation
    prompt_tokens: int
    notes: tuple[Note, ...]
    elapsed: float
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def model(self) -> str:
        return self.conversation.model

    @property
    def stream(self) -> bool:
        return self.conversation.stream

    @property
    def messages(self) -> tuple[Message, ...]:
        return self.conversation.messages

    @property
    def tools(self) -> tuple[str, ...]:
        """The names of the tools that are offered."""
        return tuple([tool.name for tool in self.conversation.tools])

    def asking(self, model: str) -> Call:
        """Return what the same request asks of another model."""
        return replace(self, conversation=replace(self.conversation, model=model))

    def of(self, request: Request, elapsed: float) -> Call:
        """Return what the same body is in another request."""
        return Call(
            request, self.operation, self.body, self.conversation, self.prompt_tokens, self.notes, elapsed, self.params
        )


@frozen
class Plan:
    """What a key may use in a minute; None is without limit.

    Where it `refills`, what was used comes back bit by bit, and a request is charged before it is answered: the larger
    of its prompt and what it asks for at the most. Else it comes back when the minute is over that the first one began.
    """

    name: str
    requests: int | None = None
    tokens: int | None = None
    refills: bool = False


@frozen
class Candidate:
    """A rule that could answer: what the store needs to know of it to choose it."""

    rule: str
    count_key: str
    states: tuple[frozenset[str], bool] | None  # the states named, and whether they are the good ones
    turns: int | None  # claims after which it stops matching
    then: str | None
    model: str = ""  # that it answers for, of several that a request names
    failing: tuple[tuple[int, int], ...] = ()  # the first and the last of the turns that lead on to the next model
    period: int = 0  # turns after which they begin anew; 0: never
    onward: int = 0  # where the next model's candidates begin

    def fails(self, turn: int) -> bool:
        """Tell whether its reply to the turn-th claim leads on to the next model."""
        turn = (turn - 1) % self.period + 1 if self.period else turn
        return any(first <= turn <= last for first, last in self.failing)


@frozen
class Claim:
    """What a request asks of the Store, in one atomic step."""

    session: str
    provider: str
    key: str | None
    plan: Plan
    at: float
    counted: bool
    candidates: tuple[Candidate, ...] = ()
    fallback: str = "built-in"  # the rule id whose n a built-in answer takes
    idempotency: tuple[str, str, float] | None = None  # header value, fingerprint, seconds kept
    history: bool = False  # the answer is computed from the session's newest exchanges
    call: Call | None = None
    refusal: Refusal | None = None
    operation: str | None = None
    relay: bool = False  # it is sent on to the upstream, whatever the docs say of it
    wire: Wire | None = None  # in which the operation is answered
    params: Mapping[str, str] = field(default_factory=dict)  # of its path

    @property
    def cost(self) -> int:
        """The tokens that a request is charged before it is answered, by a plan that refills."""
        if self.call is None or not self.plan.refills:
            return 0
        cap = self.call.conversation.cap
        return max(self.call.prompt_tokens, cap if isinstance(cap, int) else 0)


@frozen
class Standing:
    """What a key has left: requests allowed and left (None: no limit), when all are back, whether this one was over.

    Of a plan that refills, the tokens are back, and such a request passes, at times of their own; None: at the same.
    """

    limit: int | None
    remaining: int | None
    tokens_left: int | None
    reset: float
    exceeded: Literal["requests", "tokens"] | None = None
    tokens_reset: float | None = None
    passes: float | None = None

    @property
    def tokens_back(self) -> float:
        return self.reset if self.tokens_reset is None else self.tokens_reset


@frozen
class Grant:
    """What a Claim got: the exchange's number, the candidate's index, its n (of the rule) and turn (of the count)."""

    number: int
    standing: Standing
    state: str
    candidate: int | None = None
    n: int = 0
    turn: int = 0
    idempotency: Literal["mismatch", "in_progress"] | None = None
    replay: Exchange | None = None
    exchanges: tuple[Exchange, ...] = ()
    life: str = field(default="", compare=False)  # of the session, where a store outlives it: a reset begins another


class Frame(NamedTuple):
    """Bytes due `at` seconds after the request. A stream has hundreds: tuples are made fast, and the collector lets go.

    `kind` is data (an SSE data event), done, body, comment, part (what follows belongs to the same frame), or hold (a
    silence without end).
    """

    at: float
    data: bytes
    kind: str


@frozen
class Timeline:
    """What goes on the wire: the head at `head_at`, frames in order, and how it ends, at `end_at`.

    A stream is chunked. A whole answer declares `length` bytes (None: as many as its frames hold). The head takes
    `head_s` seconds; `apart` sends every frame in a write of its own, and cuts the head between each CR and LF. A
    comment goes out every `comment_s` real seconds (0: never) of a silence without end.
    """

    status: int
    headers: Headers
    frames: tuple[Frame, ...]
    stream: bool = False
    head_at: float = 0.0
    end: End = "complete"
    end_at: float = 0.0
    length: int | None = None
    faults: tuple[str, ...] = ()
    head_s: float = 0.0
    apart: bool = False
    comment_s: float = 0.0
    comment: bytes = b": keep-alive\n\n"

    def headed(self, headers: Headers) -> Timeline:
        """Return it with other headers: `replace` takes five times as long."""
        return Timeline(
            self.status, headers, self.frames, self.stream, self.head_at, self.end, self.end_at, self.length,
            self.faults, self.head_s, self.apart, self.comment_s, self.comment,
        )  # fmt: skip

    @property
    def broken(self) -> bool:
        """Tell whether what arrives is not what the reply said."""
        return self.end != "complete" or not HARMLESS.issuperset(self.faults)

    @property
    def endless(self) -> bool:
        """Tell whether it falls silent for ever, so that nobody knows when it ends."""
        return self.head_at == FOREVER or any(frame.kind == "hold" for frame in self.frames)


@frozen
class Sent:
    """What really went out: bytes of the body, seconds after `at` of each frame, and how it ended."""

    bytes: int
    frames: tuple[float, ...]
    end: Literal["complete", "cut", "reset", "client_left", "under_way"]
    at: float
    real: float = 0.0  # of the same steady clock as Request.real
    silent: float = 0.0  # real seconds of silence without end, until release, advance or the limit


@frozen
class Later:
    """An answer that is made afterwards: its body, when it is done, and its events where it is streamed."""

    body: bytes
    at: float
    frames: tuple[Frame, ...] = ()


@frozen
class Exchange:
    """One request and what it got."""

    claim: Claim
    grant: Grant
    request: Request
    timeline: Timeline
    rule: str  # FILE:LINE, built-in, refused or unmatched
    rule_id: str | None = None
    reply: int | None = None
    seed: int = 0
    notes: tuple[Note, ...] = ()
    refusal: tuple[str, int, Refusal] | None = None
    nearest: tuple[Mapping[str, Json], ...] = ()
    usage: Mapping[str, int] | None = None
    tokens: int = 0  # what counts against the plan
    finish_reason: str | None = None
    model: str = ""
    crash: str | None = None
    proxied: bool = False  # the upstream is to answer; the timeline is what is said where there is none
    keeping: Keeping | None = None
    later: Later | None = None
    sent: Sent | None = field(default=None, compare=False)
