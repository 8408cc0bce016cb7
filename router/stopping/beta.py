"""Stop when the leader probably stays ahead of the runner-up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp, lgamma, log

from router.errors import ConfigError
from router.stopping.by_votes import ByVotes, top_two

NEGLIGIBLE = 1e-17  # of a sum's largest term


@dataclass(frozen=True, slots=True)
class Beta(ByVotes):
    """ENOUGH where P(p > 1/2) >= `threshold` for p ~ Beta(a + 1, b + 1), a and b votes for the two most frequent.

    Adaptive-Consistency (Aggarwal et al. 2023), its Beta criterion: with a uniform prior on the leader's share p among
    the two, the posterior after their votes; P = 1 - I_1/2(a + 1, b + 1), a binomial sum. Fails as a promise: looking
    after every sample makes a wrong stop likelier than 1 - `threshold` (use `majority_certificate` for that); it
    does not see the answers below the second, and knows nothing of the query: at .95 four equal answers always do.
    """

    threshold: float = 0.95  # (.5, 1); the paper's

    def __post_init__(self) -> None:
        if not 0.5 < self.threshold < 1:
            raise ConfigError(f"beta: threshold must lie between .5 and 1, got {self.threshold}")

    def settled(self, counts: Sequence[int], left: int) -> bool:
        """The leader is more frequent than the runner-up with the wanted probability."""
        return stays_ahead(*top_two(counts)) >= self.threshold


@lru_cache(maxsize=16_384)
def stays_ahead(a: int, b: int) -> float:
    """P(p > 1/2), p ~ Beta(a + 1, b + 1), for votes a >= b >= 0: P(at most a of a + b + 1 fair coins fall heads).

    >>> stays_ahead(3, 0), stays_ahead(2, 2)
    (0.9375, 0.5)
    """
    if a == b:
        return 0.5
    coins = a + b + 1
    largest = exp(lgamma(coins + 1) - lgamma(b + 1) - lgamma(coins - b + 1) - coins * log(2.0))
    tail = term = largest  # P(exactly b heads), then fewer: P(more than a heads), by symmetry
    for heads in range(b, 0, -1):
        term *= heads / (coins - heads + 1)
        tail += term
        if term < NEGLIGIBLE * largest:
            break
    return 1.0 - tail
