"""Stop when the latest sample is probably right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from predictors.observation import Observation, Signals
from router.domain.verdict import ENOUGH, MORE, Verdict
from router.errors import ConfigError
from router.stopping import StoppingRule


@dataclass(frozen=True, slots=True)
class Confident(StoppingRule):
    """ENOUGH where `signal` reaches `threshold`.

    The usual gate of a cascade (FrugalGPT, Chen et al. 2023). Fails where the signal is not calibrated for this
    traffic: a threshold of .9 then keeps fewer, or more, than nine right answers in ten. Without the signal it
    says MORE.
    """

    threshold: float = 0.8  # probability, [0, 1]
    signal: str = "sample_confidence"

    reads_content: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ConfigError(f"confident: threshold must lie in [0, 1], got {self.threshold}")

    def verdict(self, seen: Observation, signals: Signals) -> Verdict:
        """ENOUGH at the threshold."""
        value = signals.get(self.signal)
        latest = seen.latest
        if value is None or latest is None or not latest.finished:
            return MORE
        return ENOUGH if value >= self.threshold else MORE
