"""Repeated testing, paid for: every test of the same incumbent takes its part of one error probability.

The k-th test since the last promotion is made at alpha / (k (k + 1)); these add up to alpha, so that over however many
nights the chance that any of them promotes a candidate that is not better stays below alpha (a union bound, true under
any dependence: the nights share rows). A promotion begins a new reign and a new account. When it fails: power falls
with k, so that a candidate that is hardly better is found by gathering more rows, not by asking more often.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from training.errors import TrainingError


@dataclass(frozen=True, slots=True)
class AlphaSpending:
    """How often the incumbent has been tested. A small JSON object between two nights."""

    alpha: float = 0.1  # over a whole reign
    tests: int = 0  # since the last promotion

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1 or self.tests < 0:
            raise TrainingError(
                f"alpha spending: alpha must be in (0, 1) and tests at least 0, got {self.alpha}, {self.tests}"
            )

    @property
    def level(self) -> float:
        """One-sided error probability of the next test."""
        return self.alpha / ((self.tests + 1) * (self.tests + 2))

    @property
    def spent(self) -> float:
        """Of alpha, by the tests so far."""
        return self.alpha * self.tests / (self.tests + 1)

    def tested(self, promoted: bool) -> AlphaSpending:
        """After a test. One that was refused for too few rows looked at no outcome and is not a test."""
        return AlphaSpending(self.alpha, 0 if promoted else self.tests + 1)

    def to_json(self) -> dict[str, float]:
        """What is kept."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, float]) -> AlphaSpending:
        """Raises `TrainingError` for what is no such object."""
        if set(kept) != {"alpha", "tests"}:
            raise TrainingError(f"alpha spending: expected the keys alpha and tests, got {sorted(kept)}")
        return cls(float(kept["alpha"]), int(kept["tests"]))
