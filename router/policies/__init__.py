"""Which plan. To add a policy, write a module here and give it a line in `POLICIES`.

A policy is a frozen dataclass, every field with a default, and one method. It never draws: it says how probable
each plan should be, and the allocator draws with the query's own seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from router.domain.choice import Situation


@runtime_checkable
class Policy(Protocol):
    """Signals, feasible plans and the shadow price in; a distribution over the plans out."""

    def probabilities(self, situation: Situation) -> Sequence[float]:
        """One probability per forecast, in order: each in [0, 1], finite, summing to 1.

        A pure function of `situation`: no clock, no randomness, no state. Called with one plan or more.
        """
        ...


POLICIES = {
    "fixed": "router.policies.fixed:Fixed",
    "threshold": "router.policies.threshold:Threshold",
    "utility": "router.policies.utility:Utility",
    "softmax": "router.policies.softmax:Softmax",
    "table": "router.policies.table:Table",
    "match_probability": "router.policies.match_probability:MatchProbability",
}
