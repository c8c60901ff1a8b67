"""A model of a provider, and what answers say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from emulator.core.errors import Json
from emulator.core.frozen import frozen

#: What an operation's body can say of the model that its path names: holes, and the fields of Model.
MODEL_HOLES: Mapping[str, str] = {
    "model.id": "id", "model.owner": "owner", "model.context_window": "context_window", "model.pricing": "pricing",
    "model.capabilities": "capabilities", "model.output_limit": "output_limit",
}  # fmt: skip
#: What begins the name of a hole that `about` of a model fills.
ABOUT = "model.about."


@frozen
class Model:
    """One model id; `ttft` and `itl` in seconds, prices in the provider's currency for a million tokens."""

    id: str
    context_window: int | None = None
    ttft: float = 0.0
    itl: float = 0.0
    owner: str = ""
    pricing: Mapping[str, float] = field(default_factory=dict)
    capabilities: Mapping[str, float] = field(default_factory=dict)
    embedding: bool = False
    assumed: bool = False
    traits: frozenset[str] = frozenset()
    output_limit: int | None = None
    defaults: Mapping[str, Json] = field(default_factory=dict)  # what a field is that a request leaves out
    echoes: Mapping[str, Json] = field(default_factory=dict)  # the same, as its answers tell them
    use: str = "chat"  # the word by which operations say which models they take
    answers_as: str = ""  # the id that its answers name, where that is another
    dimensions: int | None = None  # of its vectors
    shortens: bool = False  # a request may ask for fewer dimensions
    about: Mapping[str, Json] = field(default_factory=dict)  # what else the list of models says of it
    signs: bool = False  # the first call of its answers has a signature
    versions: Sequence[str] = ()  # of the API, that have it; none: all
    listed: bool = True  # the list of models has it; else it is another name of one that is there

    @property
    def told(self) -> Mapping[str, Json]:
        """What its answers tell of fields that a request leaves out."""
        return {**self.defaults, **self.echoes} if self.echoes else self.defaults


def model_values(model: Model) -> dict[str, Json]:
    """Return the values of a template's holes for a model."""
    own = {hole: getattr(model, name) for hole, name in MODEL_HOLES.items()}
    return own | {ABOUT + name: value for name, value in model.about.items()}
