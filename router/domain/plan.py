"""Plans are data: an ordered list of stages, identified by a digest of everything that shapes what they do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Mapping
from dataclasses import astuple, dataclass, fields, is_dataclass
from enum import Enum
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from predictors.observation import Sampling
from router.domain.asking import Asks, asking_rules, asks_of
from router.domain.growth import growth_of

if TYPE_CHECKING:
    from predictors.observation import Signals
    from router.selectors import Selector
    from router.stopping import StoppingRule
    from router.verifiers import Verifier


LATER = MappingProxyType({"digest": "unless default"})
"""Metadata of a field that came after plans had been logged: its default leaves their digests as they were."""


class Commit(Enum):
    """From when on text may be shown to a streaming caller; nothing is ever taken back."""

    FIRST_TOKEN = "first_token"  # noqa: S105 (not a password) one sample and no rule on its content
    AT_END = "at_end"


@dataclass(frozen=True, slots=True)
class Prompt:
    """A named prompt template: a system message, and text put around the last user turn."""

    name: str = ""
    system: str = ""
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Gate:
    """A condition on a signal under which a stage runs at all; a signal that is not there lets it run."""

    signal: str
    at_least: float | None = None
    below: float | None = None

    def opens(self, signals: Signals) -> bool:
        """Whether the stage runs."""
        value = signals.get(self.signal)
        if value is None:
            return True
        return (self.at_least is None or value >= self.at_least) and (
            self.below is None or value < self.below
        )


@dataclass(frozen=True, slots=True)
class Stage:
    """Draw up to `max_samples` from one backend, `width` at a time, until the rule is satisfied."""

    backend: str
    stop: StoppingRule
    select: Selector
    prompt: Prompt = Prompt()
    sampling: Sampling = Sampling()
    max_samples: int = 1
    width: int = 1
    verifier: Verifier | None = None  # a sample that passes ends the plan
    gate: Gate | None = None
    pool: bool = False  # select over the samples of all stages


@dataclass(frozen=True)
class Plan:
    """An ordered list of stages under a name; `digest` is the action that is logged."""

    name: str
    stages: tuple[Stage, ...]

    @cached_property
    def digest(self) -> str:
        """16 hex digits over the stages with their resolved thresholds; the name is not part of it."""
        text = json.dumps([canonical(stage) for stage in self.stages], sort_keys=True, separators=(",", ":"))
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    @cached_property
    def commit(self) -> Commit:
        """`first_token` where the first token of the only sample is already part of the answer."""
        only = self.stages[0]
        streams = (
            len(self.stages) == 1
            and only.max_samples == 1
            and only.verifier is None
            and not only.stop.reads_content
        )
        return Commit.FIRST_TOKEN if streams else Commit.AT_END

    @cached_property
    def asks(self) -> tuple[Asks, ...]:
        """What its selectors may ask; one of them selects."""
        return tuple(asks for stage in self.stages if (asks := asks_of(stage.select)) is not None)

    @cached_property
    def draws(self) -> tuple[Hashable, ...]:
        """Of every stage all that one of its samples costs by, besides the query: where it is equal, so is the cost."""
        return tuple(
            (
                stage.backend,
                stage.sampling.max_tokens,
                *astuple(stage.prompt),  # texts remember their hashes, a prompt makes its own each time
                growth_of(stage.stop),
                tuple(rule.words for rule in asking_rules(stage.stop)),
            )
            for stage in self.stages
        )

    @property
    def backends(self) -> tuple[str, ...]:
        """The backends that its samples come from, each once, in order."""
        return tuple(dict.fromkeys(stage.backend for stage in self.stages))


def canonical(value: Any) -> Any:
    """`value` as JSON types: a dataclass becomes a mapping of its class's name and fields, but for those of `LATER`."""
    if is_dataclass(value) and not isinstance(value, type):
        return {"": type(value).__name__} | {
            item.name: canonical(getattr(value, item.name))
            for item in fields(value)
            if "digest" not in item.metadata or getattr(value, item.name) != item.default
        }
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [canonical(item) for item in value]
    return value
