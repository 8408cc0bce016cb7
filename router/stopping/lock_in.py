"""Stop when the leader can no longer be overtaken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from router.stopping.by_votes import ByVotes, top_two


@dataclass(frozen=True, slots=True)
class LockIn(ByVotes):
    """ENOUGH where the leader's lead over the runner-up is larger than the number of samples left.

    Lossless: the majority over all `max_samples` is the answer already, ties included. Fails to save much: unanimous
    samples stop after little more than half, and a stage whose `max_samples` is far above what it ever draws never.
    Lossless for selectors that count votes, not for those that weigh them.
    """

    def settled(self, counts: Sequence[int], left: int) -> bool:
        """No answer, seen or not, can draw level."""
        leader, second = top_two(counts)
        return leader - second > left
