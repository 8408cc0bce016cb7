"""Stop when the answers are few and unevenly frequent: low semantic entropy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

from router.errors import ConfigError
from router.stopping.by_votes import ByVotes


@dataclass(frozen=True, slots=True)
class Entropy(ByVotes):
    """ENOUGH where H = -sum p_c log p_c over the answer classes' shares p_c is at most `at_most` nats.

    The termination of SEAT (semantic entropy of N parallel answers, low where they are right); asked after every
    sample from `votes` votes on, because one vote has no entropy at all. Fails where the model is confidently wrong
    (entropy 0 around one wrong answer), and on few votes, whose entropy is too low by some (classes - 1) / (2 votes).
    """

    at_most: float = 0.3  # nats, >= 0; one dissenter among eleven is .305
    votes: int = 4  # before which it says nothing, >= 2

    def __post_init__(self) -> None:
        if not self.at_most >= 0:
            raise ConfigError(f"entropy: at_most must be at least 0, got {self.at_most}")
        if self.votes < 2:
            raise ConfigError(f"entropy: votes must be at least 2, got {self.votes}")

    def settled(self, counts: Sequence[int], left: int) -> bool:
        """Low entropy of enough votes."""
        votes = sum(counts)
        return votes >= self.votes and entropy(counts, votes) <= self.at_most


def entropy(counts: Sequence[int], votes: int) -> float:
    """-sum p log p in nats of the shares of `votes` > 0 votes, 0 where all agree.

    >>> round(entropy((2, 2), 4), 4)
    0.6931
    """
    return max(0.0, log(votes) - sum(count * log(count) for count in counts if count > 1) / votes)
