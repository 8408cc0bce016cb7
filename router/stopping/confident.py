"""Stop when the latest sample is probably right."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import ClassVar

from predictors.observation import Observation, Signals
from router.domain.verdict import ENOUGH, MORE, Verdict
from router.errors import ConfigError
from router.stopping import StoppingRule

USUAL = 0.8  # the threshold where neither it nor a risk is given


@dataclass(frozen=True, slots=True)
class Confident(StoppingRule):
    """ENOUGH where `signal` reaches `threshold`; with `risk` at a threshold that the bundle calibrated for it.

    The usual gate of a cascade (FrugalGPT, Chen et al. 2023). `risk` bounds the share of all queries that stop here,
    are wrong, and would have been right at the next stage; its threshold is found when a bundle is loaded
    (`resolved`), by Learn-then-Test, and becomes part of the plan's digest. Without a bundle, or where no threshold
    keeps the promise, it never stops. Fails where the signal is not calibrated for this traffic: a threshold of .9
    then keeps fewer, or more, than nine right answers in ten. Without the signal it says MORE.
    """

    threshold: float | None = None  # probability, [0, 1]; None: what follows from `risk`, else .8
    signal: str = "sample_confidence"
    risk: float | None = None  # (0, 1)

    reads_content: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ConfigError(f"confident: threshold must lie in [0, 1], got {self.threshold}")
        if self.risk is not None and not 0 < self.risk < 1:
            raise ConfigError(f"confident: risk must lie between 0 and 1, got {self.risk}")
        if self.risk is not None and self.signal != "sample_confidence":
            raise ConfigError(f"confident: risk is calibrated for sample_confidence, not for {self.signal!r}")

    def verdict(self, seen: Observation, signals: Signals) -> Verdict:
        """ENOUGH at the threshold."""
        value = signals.get(self.signal)
        latest = seen.latest
        if value is None or latest is None or not latest.finished:
            return MORE
        return ENOUGH if value >= self.at_least else MORE

    @property
    def at_least(self) -> float:
        """The threshold in force; infinite where it never stops."""
        if self.threshold is not None:
            return self.threshold
        return USUAL if self.risk is None else inf

    def resolved(self, threshold: float | None) -> Confident:
        """The same rule with the threshold that its risk stands for; None: no threshold keeps it."""
        return replace(self, threshold=threshold)
