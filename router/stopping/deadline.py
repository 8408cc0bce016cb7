"""End a trace while there is still time for its answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from predictors.observation import Observation, Signals
from router.domain.growth import Growth
from router.domain.verdict import ENOUGH, MORE, Verdict
from router.errors import ConfigError
from router.stopping import StoppingRule


@dataclass(frozen=True, slots=True)
class Deadline(StoppingRule):
    """ENOUGH once `after_s` have passed since the query came in, or no more than `reserve_s` is left to its deadline.

    The trace is closed and its answer asked for, which is what the reserve is for: an answer late is none. Fails where
    a server is slower than the reserve allows for; then the deadline itself cuts.
    """

    reserve_s: float = 2.0  # seconds, >= 0
    after_s: float | None = None  # seconds, > 0
    every: int = 32  # tokens between looks, >= 1

    reads_content: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.reserve_s >= 0:
            raise ConfigError(f"deadline: reserve_s must be 0 or more, got {self.reserve_s}")
        if self.after_s is not None and not self.after_s > 0:
            raise ConfigError(f"deadline: after_s must be above 0, got {self.after_s}")
        if self.every < 1:
            raise ConfigError(f"deadline: every must be at least 1, got {self.every}")

    @property
    def growth(self) -> Growth:
        """The time alone: no answers."""
        return Growth(0, self.every, answers=False)

    def verdict(self, seen: Observation, signals: Signals) -> Verdict:
        """ENOUGH when it is time; a stage without any sample of this query has nothing to end."""
        late = self.after_s is not None and seen.elapsed_s >= self.after_s
        short = seen.time_left_s is not None and seen.time_left_s <= self.reserve_s
        return ENOUGH if late or short else MORE
