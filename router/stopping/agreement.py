"""Stop when `needed` samples agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from predictors.observation import Observation, Signals
from router.domain.verdict import ENOUGH, MORE, Verdict
from router.errors import ConfigError
from router.stopping import StoppingRule


@dataclass(frozen=True, slots=True)
class Agreement(StoppingRule):
    """ENOUGH as soon as one answer has `needed` votes.

    The simplest early stop of self-consistency (Wang et al. 2022). Fails where the model is confidently wrong:
    a popular wrong answer gathers votes just as fast; and with free text, where no two answers are equal, it
    never fires.
    """

    needed: int = 3  # votes, >= 1

    reads_content: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.needed < 1:
            raise ConfigError(f"agreement: needed must be at least 1, got {self.needed}")

    def verdict(self, seen: Observation, signals: Signals) -> Verdict:
        """ENOUGH with `needed` equal answers."""
        counts = seen.tally.counts
        return ENOUGH if counts and max(counts) >= self.needed else MORE
