"""A threshold on a confidence whose risk is bounded with high probability.

Risk = share *of all queries* that stopped, were wrong, and would have been right by going on. Thresholds of a grid that
is fixed in advance are walked from the safest down; the walk ends before the first whose exact binomial upper bound at
confidence 1 - eta passes the risk: P(true risk > r) <= eta for queries exchangeable with those it was calibrated on
(fixed-sequence Learn-then-Test, Angelopoulos et al. 2021, with Clopper & Pearson 1934). Where not even the safest
passes there is no threshold. When it fails: at drift; with few queries it stops little or never.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors.errors import BundleError

Floats = NDArray[np.float64]
ETA = 0.1  # when serving: of ten calibrations one may be wrong
STEPS = 200  # of the grid of thresholds from 1 down to 0


def upper_bound(losses: int, n: int, eta: float) -> float:
    """The rate that is above the true one with probability 1 - eta, after `losses` of n (Clopper & Pearson)."""
    from scipy.stats import beta

    return 1.0 if losses >= n else float(beta.ppf(1 - eta, losses + 1, n - losses))


def losses_allowed(n: int, risk: float, eta: float) -> int:
    """The most losses among n whose upper bound is still <= risk; -1 if not even none."""
    low, high = -1, n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if upper_bound(middle, n, eta) <= risk else (low, middle)
    return low


@dataclass(frozen=True, slots=True)
class RiskCurves:
    """Losses along the grid, for pairs of backends: the one that answered, the one that would have been asked next."""

    backends: tuple[str, ...]
    pairs: NDArray[np.int64] = field(compare=False)  # (m, 2) index into backends
    counts: NDArray[np.int64] = field(compare=False)  # (m,) queries that both answered
    losses: NDArray[np.int64] = field(compare=False)  # (m, STEPS + 1) at confidence >= 1 - step / STEPS

    @classmethod
    def of(
        cls, backends: Sequence[str], measured: Mapping[tuple[int, int], tuple[Floats, NDArray[np.bool_]]]
    ) -> Self:
        """Pair -> confidences (n,) and losses (n,) of calibration queries, the confidences not fitted on them."""
        grid = 1.0 - np.arange(STEPS + 1) / STEPS
        losses = [
            (confidence[lost][None, :] >= grid[:, None]).sum(axis=1) for confidence, lost in measured.values()
        ]
        return cls(
            tuple(backends),
            np.array(list(measured), dtype=np.int64).reshape(-1, 2),
            np.array([len(confidence) for confidence, _ in measured.values()], dtype=np.int64),
            np.array(losses, dtype=np.int64).reshape(-1, STEPS + 1),
        )

    def threshold(self, first: str, then: str, risk: float, eta: float = ETA) -> float | None:
        """The lowest confidence at which `first`'s answer may be kept; None where none keeps the promise."""
        if first not in self.backends or then not in self.backends:
            return None
        wanted = (self.backends.index(first), self.backends.index(then))
        found = np.flatnonzero((self.pairs == wanted).all(axis=1))
        if not len(found):
            return None
        at = int(found[0])
        over = np.flatnonzero(self.losses[at] > losses_allowed(int(self.counts[at]), risk, eta))
        step = STEPS if not len(over) else int(over[0]) - 1
        return None if step < 0 else 1.0 - step / STEPS

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned."""
        return {"pairs": self.pairs, "counts": self.counts, "losses": self.losses}

    @classmethod
    def from_arrays(cls, backends: tuple[str, ...], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The inverse of `arrays`; raises `BundleError` for what does not fit."""
        pairs, counts, losses = arrays["pairs"], arrays["counts"], arrays["losses"]
        m = len(counts)
        if pairs.shape != (m, 2) or losses.shape != (m, STEPS + 1) or (m and pairs.max() >= len(backends)):
            raise BundleError(
                f"risk curves: pairs {pairs.shape}, losses {losses.shape} do not fit {m} counts"
            )
        return cls(backends, pairs, counts, losses)
