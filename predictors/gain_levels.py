"""What one backend earns over another, corrected by how much both are expected to earn.

The mean of the head on the difference in reward and of the difference of two P(right) errs least of what is linear in
them (`backend_rewards`), but what it promises does not come true alike everywhere: for queries that both backends get
right, or that neither does, less is left to gain than heads say that never see one another. The realised gain is
regressed on the level m (mean of both P(right)), the gain g, m² and m g, as a correction of g, by a ridge over
held-out rows whose penalty errs least on rows held out from it; where none errs less than no correction there is none
(Wolpert 1992, stacking, with products as inputs). When it fails: a level that says nothing of the gain, which the
held-out rows tell, and queries unlike those of the fit, where the limits to [-1, 1] are all that holds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from predictors.errors import BundleError

Floats = NDArray[np.float64]
Number = TypeVar("Number", float, NDArray[np.float64])
TERMS = 5  # 1, m, g, m², m g
_PENALTIES = (100.0, 300.0, 1000.0, 3000.0)  # in rows; the first that errs least is taken


@dataclass(frozen=True, slots=True)
class GainLevels:
    """Fitted for pairs of backends; what it says takes the place of the gain heads and of the mean with P(right)."""

    pairs: tuple[tuple[int, int], ...]  # numbers of backends: the gain is the first one's over the second's
    weights: Floats = field(compare=False)  # (pairs, TERMS), added to the mean; zeros: nothing to correct
    _rows: list[list[float]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rows", self.weights.tolist())

    def of(self, heads: Sequence[float]) -> list[float]:
        """`heads`: P(right) of each backend, then (gain + 1) / 2 of each pair; the latter corrected, in [0, 1]."""
        found = []
        first_gain = len(heads) - len(self.pairs)
        for number, ((one, other), (a, b, c, d, e)) in enumerate(zip(self.pairs, self._rows, strict=True)):
            level, gain = _level_and_gain(heads[one], heads[other], heads[first_gain + number])
            gain += a + b * level + c * gain + level * (d * level + e * gain)
            found.append(0.5 * (min(max(gain, -1.0), 1.0) + 1.0))
        return found

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned."""
        return {"pairs": np.array(self.pairs, dtype=np.int32).reshape(-1, 2), "weights": self.weights}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], backends: int, pairs: int) -> Self:
        """Raises `BundleError` for anything but `pairs` pairs of two of so many backends."""
        of, weights = arrays["pairs"], arrays["weights"]
        if of.shape != (pairs, 2) or weights.shape != (pairs, TERMS):
            raise BundleError(
                f"gain levels: {weights.shape} weights for {of.shape} pairs; {pairs} are expected"
            )
        if pairs and not 0 <= of.min() <= of.max() < backends:
            raise BundleError(f"gain levels: a backend of {backends} has number {of.max()}")
        return cls(tuple((int(one), int(other)) for one, other in of), weights.astype(np.float64))


def _level_and_gain(one: Number, other: Number, head: Number) -> tuple[Number, Number]:
    """Of two P(right) and of the gain head, in [0, 1]: the mean of the former, and that of both ways to the gain."""
    return 0.5 * (one + other), 0.5 * (one - other) + head - 0.5


@dataclass(frozen=True, slots=True)
class GainLevelsFit:
    """The fit on all rows, and every row's gains by a fit without its part."""

    full: GainLevels
    held_out: Floats = field(compare=False)  # (n, pairs), (gain + 1) / 2


def fit_gain_levels(
    heads: Floats, pairs: Sequence[tuple[int, int]], reward: Floats, parts: NDArray[np.int64]
) -> GainLevelsFit | None:
    """`heads` (n, B + pairs) held out, as of `GainLevels.of`; `reward` (n, B), NaN: not known; `parts` (n,).

    None where no pair is corrected. `parts` must cut across the folds by which `heads` were held out: what is said of
    the other folds has seen all labels of one fold, so that slopes found there are least true of that very fold.
    """
    weights, held_out = np.zeros((len(pairs), TERMS)), np.empty((len(heads), len(pairs)))
    first_gain = heads.shape[1] - len(pairs)
    for number, (one, other) in enumerate(pairs):
        level, gain = _level_and_gain(heads[:, one], heads[:, other], heads[:, first_gain + number])
        pair = _Pair(level, gain, reward[:, one] - reward[:, other] - gain, parts)
        penalty = pair.penalty()
        corrected = gain.copy()
        if penalty is not None:
            known, terms = pair.known, pair.terms
            weights[number] = pair.solved(known, penalty)
            for part in np.unique(parts):
                own = parts == part
                corrected[own] += terms[own] @ pair.solved(known & ~own, penalty)
        held_out[:, number] = 0.5 * (np.clip(corrected, -1.0, 1.0) + 1.0)
    return GainLevelsFit(GainLevels(tuple(pairs), weights), held_out) if weights.any() else None


@dataclass(frozen=True, slots=True)
class _Pair:
    """One pair's rows while its correction is fitted."""

    level: Floats
    gain: Floats
    rest: Floats  # what came true beyond the gain; NaN: not known
    parts: NDArray[np.int64]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Rows with both rewards."""
        return np.isfinite(self.rest)

    @property
    def terms(self) -> Floats:
        """(n, TERMS)."""
        m, g = self.level, self.gain
        return np.column_stack([np.ones(len(m)), m, g, m * m, m * g])

    def penalty(self) -> float | None:
        """The one with the smallest squared error on held-out rows; None: no correction errs less than any."""
        known, terms = self.known, self.terms
        best, least = None, float(np.sum(self.rest[known] ** 2))
        for penalty in _PENALTIES:
            error = 0.0
            for part in np.unique(self.parts[known]):
                own = known & (self.parts == part)
                said = terms[own] @ self.solved(known & ~own, penalty)
                error += float(np.sum((self.rest[own] - said) ** 2))
            if error < least:
                best, least = penalty, error
        return best

    def solved(self, rows: NDArray[np.bool_], penalty: float) -> Floats:
        """Weights of `terms`, of mean 0 over the rows: how much is earned on the whole is known already.

        Shrunk are the slopes and the bends around the mean: around 0, slopes and bends of a narrow level are one.
        """
        if rows.sum() < TERMS:
            return np.zeros(TERMS)
        m, g, rest = self.level[rows], self.gain[rows], self.rest[rows]
        at_m, at_g = float(m.mean()), float(g.mean())
        m, g = m - at_m, g - at_g
        x = np.column_stack([m, g, m * m, m * g])
        mean, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-9)
        x = (x - mean) / scale
        b, c, d, e = np.linalg.solve(x.T @ x + penalty * np.eye(4), x.T @ (rest - rest.mean())) / scale
        first = -float(mean @ (b, c, d, e)) - b * at_m - c * at_g + d * at_m**2 + e * at_m * at_g
        return np.array([first, b - 2 * d * at_m - e * at_g, c - e * at_m, d, e])
