"""A bundle that is tried on a share of traffic."""

from __future__ import annotations

from dataclasses import dataclass

from router.first_decision.choose import Chooser
from router.first_decision.draw import unit


@dataclass(frozen=True, slots=True)
class Canary:
    """Another bundle, which decides for a share of traffic: a session or request has the same one throughout."""

    chooser: Chooser
    share: float  # of draw keys, (0, 1]
    degraded: tuple[str, ...] = ()

    def takes(self, seed: int, key: str) -> bool:
        """Whether it decides for such queries."""
        return unit(seed, f"canary/{self.chooser.predictions.version}", key) < self.share
