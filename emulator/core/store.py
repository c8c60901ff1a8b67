"""The only thing that remembers: limits, turns, states, idempotency records and journals, behind one protocol."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Mapping, Sequence
from inspect import isawaitable
from typing import Any, Protocol, TypeVar

from emulator.core.frozen import frozen
from emulator.core.stored_answers import Keeping
from emulator.core.values import Claim, Exchange, Grant, Sent, Standing

T = TypeVar("T")


class StoreFailed(Exception):
    """The store cannot be reached, or refuses: nothing that the client did."""


async def soon(value: T | Awaitable[T]) -> T:
    """Return what a store answers, whether it has it at hand or must be waited for."""
    return await value if isawaitable(value) else value


def at_once(found: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine comes to that asks a store alone which has its answers at hand: it waits for nothing."""
    try:
        found.send(None)
    except StopIteration as ended:
        value: T = ended.value
        return value
    raise TypeError("what was to be found at once waits for something")


class Sketch(Protocol):
    """An exchange that was sent at once, and is rendered when it is read."""

    def exchange(self) -> Exchange: ...


@frozen
class Counters:
    """A session's counters, as they stand: its state, each rule's claims, each key's window."""

    state: str
    calls: Mapping[str, int]
    limits: Sequence[tuple[str, str, str, Standing]]  # provider, key, plan
    exchanges: int
    dropped: int


#: An exchange whose answer is kept, and what that has otherwise since, as JSON.
KeptExchange = tuple[Exchange, str]
#: Exchanges, and how many older ones were dropped.
Journalled = tuple[Sequence[Exchange], int]


class KeptAnswers(Protocol):
    """The answers that are kept for later requests."""

    def recall(
        self, session: str, ident: str, with_texts: Sequence[bytes] = ()
    ) -> KeptExchange | Awaitable[KeptExchange | None] | None:
        """Return the exchange whose answer is kept by an id, and what that has otherwise since.

        One need not be found if neither its request nor what it has otherwise since has the texts, pieces of JSON.
        """

    def listed(self, session: str, of: str) -> Sequence[str] | Awaitable[Sequence[str]]:
        """Return the ids of the answers that are kept of an operation, the oldest first."""


class Store(KeptAnswers, Protocol):
    """Each method is one atomic step; what only control asks for may be something to await (see `soon`)."""

    def take(self, claim: Claim, at: float | None = None) -> Grant:
        """Give the claim its number, its window's standing, and the first candidate that state and turns allow.

        `at`: when, where that is not the claim's own time.
        """

    def record(self, exchange: Exchange) -> None:
        """Journal an exchange, count its tokens, and keep or free its idempotency record."""

    def note(self, claim: Claim, number: int, sketch: Sketch, size: int, tokens: int, keeping: Keeping | None) -> None:
        """Do as `record` and `sent` do, for an exchange that is rendered when it is read: it keeps so many bytes."""

    def sent(self, exchange: Exchange, sent: Sent) -> None:
        """Add what really went out to an exchange, if it is still in the journal."""

    def journal(self, session: str, since: int, most: int | None = None) -> Journalled | Awaitable[Journalled]:
        """Return the exchanges with a number over `since`, up to `most`, and how many older ones were dropped."""

    def counters(self, session: str, at: float) -> Counters | Awaitable[Counters]:
        """Return a session's counters."""

    def restart(self, session: str) -> None:
        """Begin turns and state anew; the journal stays."""

    def reset(self, session: str) -> None:
        """Forget all of a session but that it exists."""

    def delete(self, session: str) -> None:
        """Forget a session."""
