"""A rule of a conversation as a provider has it, and what rules look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import TypeAlias

from emulator.core.errors import Json
from emulator.core.frozen import frozen
from emulator.core.provider.conversation.selectors import Place, Selector
from emulator.core.provider.model import Model
from emulator.core.wires.request.conversation import Conversation

#: So many ids are named.
MOST_NAMED = 100
#: What of the message or field at fault a text can name.
HOLES = ("path", "name", "i", "j", "value", "other", "ids", "model", "limit", "reason", "caller")


@frozen
class Asked:
    """What rules look at: a body, what it says, and what is known of the model that it names."""

    body: Mapping[str, Json]
    conversation: Conversation
    traits: frozenset[str] | None = None  # None: nothing is known of the model
    output_limit: int | None = None
    defaults: Mapping[str, Json] = field(default_factory=dict)  # what a field is that is left out
    headers: Mapping[str, str] = field(default_factory=dict)  # of the request, by lower-case name


def asked_of(
    body: Mapping[str, Json], conversation: Conversation, model: Model | None, headers: Mapping[str, str]
) -> Asked:
    """Return what rules look at where a model is known, or not."""
    if model is None:
        return Asked(body, conversation, headers=headers)
    return Asked(body, conversation, model.traits, model.output_limit, model.defaults, headers)


Finding: TypeAlias = dict[str, Json]


@frozen
class ConversationRule:
    """One rule as a provider has it. Raises nothing: `broken` tells."""

    check: Rule  # what tells whether a request breaks it
    fact: str
    error: str
    wording: Mapping[str, Json]
    fields: Sequence[Selector] = ()
    others: Sequence[Selector] = ()
    when: Sequence[Selector] = ()
    unless: Sequence[Selector] = ()
    words: Sequence[str] = ()
    trait: str | None = None
    without: str | None = None
    tops: frozenset[str] = field(default=frozenset(), compare=False)  # the fields of a body that it is about
    of_output: bool = False  # it is about what a model can write
    most: int = 0
    headers: Mapping[str, str | None] = field(default_factory=dict)  # of the requests that it binds; None: left out

    @property
    def of_models(self) -> bool:
        """Tell whether it depends on which model is asked."""
        return self.trait is not None or self.without is not None or self.of_output

    def broken(self, asked: Asked) -> Finding | None:
        """Return what fills the holes where a request breaks the rule."""
        return next(self.check(self, asked), None) if self._concerns(asked) else None

    def _concerns(self, asked: Asked) -> bool:
        if self.trait is not None and self.trait not in (asked.traits or ()):
            return False
        if self.without is not None and (asked.traits is None or self.without in asked.traits):
            return False
        if any(asked.headers.get(name) != value for name, value in self.headers.items()):
            return False
        if not (self.when or self.unless):
            return True
        return all(first((item,), asked) for item in self.when) and first(self.unless, asked) is None


#: Yields what fills the holes of a rule's words where a request breaks it; the first is told.
Rule: TypeAlias = Callable[[ConversationRule, Asked], Iterator[Finding]]


def every(selectors: Sequence[Selector], asked: Asked) -> Iterator[Place]:
    """Yield what selectors find."""
    for selector in selectors:
        yield from selector.find(asked.body)


def first(selectors: Sequence[Selector], asked: Asked) -> Place | None:
    """Return what selectors find first."""
    return next(every(selectors, asked), None)
