"""Decide again after an answer: keep it, or go on to the next backend if that is worth its price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from predictors.observation import Observation, Signals
from router.domain.verdict import ENOUGH, MORE, Verdict
from router.errors import ConfigError
from router.stopping import StoppingRule


@dataclass(frozen=True, slots=True)
class Hop(StoppingRule):
    """ENOUGH where E[reward of `to` | what came back] - P(this is right) < price x cost of asking `to`.

    The value of going on is fitted (`going_on/<to>`, `predictors.hop_values`), the answer in hand is worth
    `sample_confidence`, what was spent is spent: the last step of a multi-hop decision with its costs in the state
    (HierRouter, Gupta et al. 2025). `price` and `sample_cost/<to>` are signals of the query; a dearer price stops
    earlier. Without `going_on/<to>` the backend's P(right) before anything was drawn stands for it, and without that
    `to` is taken to be always right. Fails where the plan's own head was fitted at another price: what it then expects
    of the plan is what it was at that price.
    """

    to: str = ""  # backend of the next stage
    margin: float = 0.0  # quality by which going on must be better still, [0, 1]

    reads_content: ClassVar[bool] = True
    weighs_cost: ClassVar[bool] = True  # asks for the price and the costs of samples as signals

    def __post_init__(self) -> None:
        if not 0 <= self.margin <= 1:
            raise ConfigError(f"hop: margin must lie in [0, 1], got {self.margin}")

    def verdict(self, seen: Observation, signals: Signals) -> Verdict:
        """ENOUGH where the answer in hand is kept; without a confidence MORE."""
        in_hand, latest = signals.get("sample_confidence"), seen.latest
        if in_hand is None or latest is None or not latest.finished:
            return MORE
        on = signals.get(f"going_on/{self.to}", signals.get(f"p_correct/{self.to}", 1.0))
        paid = signals.get("price", 0.0) * signals.get(f"sample_cost/{self.to}", 0.0) * 1e-6
        return ENOUGH if on - in_hand < paid + self.margin else MORE
