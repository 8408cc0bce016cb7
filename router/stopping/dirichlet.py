"""Stop when the leader is probably the most frequent of all answers seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import lgamma

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc

from router.errors import ConfigError
from router.stopping.beta import stays_ahead
from router.stopping.by_votes import ByVotes

# of the grid in the root of a gamma variable, whose sd is about 1/2 for every shape
STEP, HALF_WIDTH = 0.1, 3.5


@dataclass(frozen=True, slots=True)
class Dirichlet(ByVotes):
    """ENOUGH where P(p_1 > max p_j) >= `threshold` for p ~ Dirichlet(v_1 + 1, …, v_K + 1), v the votes.

    Adaptive-Consistency (Aggarwal et al. 2023), its Dirichlet criterion, with a uniform prior over the answers seen.
    A Dirichlet is gamma variables divided by their sum, so P is the integral of f_(v_1 + 1)(x) prod_j F_(v_j + 1)(x),
    f and F the density and the distribution of Gamma(v + 1, 1): one sum over a fixed grid, to 1e-6, no randomness.
    One class alone counts as two, the other without votes (the Beta criterion). Fails as `beta` does: no promise when
    looked at after every sample, and an answer that was not seen yet does not exist.
    """

    threshold: float = 0.95  # (0, 1)

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ConfigError(f"dirichlet: threshold must lie between 0 and 1, got {self.threshold}")

    def settled(self, counts: Sequence[int], left: int) -> bool:
        """The leader is the most frequent with the wanted probability."""
        ranked = sorted(counts, reverse=True)
        # to beat all is less likely than to beat the second: mostly that says it already
        if stays_ahead(ranked[0], ranked[1] if len(ranked) > 1 else 0) < self.threshold:
            return False
        return is_largest(tuple(ranked)) >= self.threshold


@lru_cache(maxsize=16_384)
def is_largest(ranked: tuple[int, ...]) -> float:
    """P(the first share is the largest) for p ~ Dirichlet(votes + 1); `ranked`: votes >= 1, the most first.

    >>> round(is_largest((3, 1)), 4), round(is_largest((2, 2, 2)), 4)
    (0.8125, 0.3333)
    """
    if len(ranked) == 1:
        return stays_ahead(ranked[0], 0)
    leader, *others = ranked
    below = sum(times * _log_below(leader, votes) for votes, times in Counter(others).items())
    return float(_density(leader) @ np.exp(below))


@lru_cache(maxsize=1_024)
def _nodes(leader: int) -> NDArray[np.float64]:
    """Where the integrand of a leader with so many votes lives: roots of the gamma variable, shape (nodes,)."""
    middle = (leader + 0.5) ** 0.5
    return np.arange(max(STEP, middle - HALF_WIDTH), middle + HALF_WIDTH, STEP)


@lru_cache(maxsize=1_024)
def _density(leader: int) -> NDArray[np.float64]:
    """Weights of the nodes: the density of t = sqrt(x), 2 t^(2v + 1) exp(-t^2) / v!, times the step."""
    t = _nodes(leader)
    return np.asarray(2 * STEP * np.exp((2 * leader + 1) * np.log(t) - t * t - lgamma(leader + 1)))


@lru_cache(maxsize=8_192)
def _log_below(leader: int, votes: int) -> NDArray[np.float64]:
    """log P(a rival with so many votes is below each node)."""
    return np.asarray(np.log(np.maximum(gammainc(votes + 1, _nodes(leader) ** 2), 1e-300)))
