"""Stop when the first samples have finished, whatever they say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from predictors.observation import Observation, Signals
from router.domain.verdict import ENOUGH, MORE, Verdict
from router.errors import ConfigError
from router.stopping import StoppingRule


@dataclass(frozen=True, slots=True)
class FirstFinish(StoppingRule):
    """ENOUGH as soon as `needed` samples of the stage have ended with an answer.

    First Finish Search (2025): start `width` traces, answer with the first that ends and cut the others; of reasoning
    models shorter traces are right more often. Fails where that is not so (direct answers, and models that give up
    early): look at the correlation of length and reward first. Without `width` > 1 it is one sample.
    """

    needed: int = 1  # samples with an answer, >= 1

    reads_content: ClassVar[bool] = True  # a trace without an answer does not count

    def __post_init__(self) -> None:
        if self.needed < 1:
            raise ConfigError(f"first_finish: needed must be at least 1, got {self.needed}")

    def verdict(self, seen: Observation, signals: Signals) -> Verdict:
        """ENOUGH with the last one that is needed."""
        return ENOUGH if seen.tally.votes >= self.needed else MORE
