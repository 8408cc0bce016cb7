"""Rules that read nothing but the votes: one question to answer, so that a replay need not build observations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol, runtime_checkable

from predictors.observation import Observation, Signals
from router.domain.verdict import ENOUGH, MORE, Verdict
from router.stopping import StoppingRule


@runtime_checkable
class ByVotes(StoppingRule, Protocol):
    """ENOUGH where `settled`. Equal votes in another order give the same verdict.

    `router.stopping.vote_replay.stops` runs such a rule over many recorded runs at once.
    """

    reads_content: ClassVar[bool] = True

    def settled(self, counts: Sequence[int], left: int) -> bool:
        """Whether these votes are enough. `counts`: votes per answer class, at least one class, each >= 1, in any
        order; `left` >= 0: samples that the stage may still draw. A pure function.
        """
        ...

    def verdict(self, seen: Observation, signals: Signals) -> Verdict:
        """ENOUGH once the stage's votes settle it."""
        tally = seen.tally
        if not tally.counts:
            return MORE
        return ENOUGH if self.settled(tally.counts, max(0, seen.max_samples - tally.drawn)) else MORE


def top_two(counts: Sequence[int]) -> tuple[int, int]:
    """Votes of the leader and of the runner-up, 0 where there is none.

    >>> top_two((1, 4, 2))
    (4, 2)
    """
    leader = max(counts)
    if len(counts) == 1:
        return leader, 0
    ranked = sorted(counts)
    return leader, ranked[-2]
