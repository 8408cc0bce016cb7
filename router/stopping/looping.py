"""Give a trace up that goes in circles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from predictors.observation import Observation, Signals
from router.domain.growth import Growth
from router.domain.verdict import ENOUGH, ESCALATE, MORE, Verdict
from router.errors import ConfigError
from router.stopping import StoppingRule


@dataclass(frozen=True, slots=True)
class Looping(StoppingRule):
    """ESCALATE (or ENOUGH) where `looping/<sample_id>` of a growing sample passes `alarm`.

    The signal is a CUSUM over the pieces of its text (`predictors.looping`, after circular reasoning, 2026): how much
    of each piece was said before, less what is usual. In the last stage the trace is closed and answers. Fails on tasks
    whose right answer repeats itself (tables, code with a pattern): raise the alarm there.
    """

    alarm: float = 1.5  # > 0; a piece that says nothing new adds .65
    then: Literal["escalate", "enough"] = "escalate"
    every: int = 64  # tokens between looks, >= 1

    reads_content: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.alarm > 0:
            raise ConfigError(f"looping: alarm must be above 0, got {self.alarm}")
        if self.then not in ("escalate", "enough"):
            raise ConfigError(f"looping: then must be escalate or enough, got {self.then!r}")
        if self.every < 1:
            raise ConfigError(f"looping: every must be at least 1, got {self.every}")

    @property
    def growth(self) -> Growth:
        """The text alone: no answers."""
        return Growth(0, self.every, answers=False, repeats=True)

    def verdict(self, seen: Observation, signals: Signals) -> Verdict:
        """The word for a loop."""
        latest = seen.latest
        if latest is None or latest.finished:
            return MORE
        if signals.get(f"looping/{latest.sample_id}", 0.0) < self.alarm:
            return MORE
        return ENOUGH if self.then == "enough" else ESCALATE
