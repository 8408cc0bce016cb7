"""Turn scores into probabilities that mean what they say, and measure how well they do.

A curve is fitted on predictions of held-out folds only. Candidates are the score itself, beta calibration
(Kull, Silva Filho & Flach 2017: logit p = a ln s - b ln(1 - s) + c) and isotonic regression over equal-mass bins
(Zadrozny & Elkan 2002); the one with the lowest cross-validated log-loss is kept as knots of a monotone
piecewise-linear function. When it fails: the queries change (the curve is about the old ones).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors.errors import BundleError, FitError

Floats = NDArray[np.float64]
_EDGE = 1e-4  # a predicted probability stays within [_EDGE, 1 - _EDGE] before logarithms are taken


@dataclass(frozen=True, slots=True)
class Curve:
    """A monotone piecewise-linear function from score to probability; constant beyond its ends."""

    scores: Floats = field(compare=False)  # (k,), increasing
    values: Floats = field(compare=False)  # (k,), not decreasing, in [0, 1]
    _x: list[float] = field(init=False, repr=False, compare=False)  # the same as Python's numbers
    _y: list[float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_x", self.scores.tolist())
        object.__setattr__(self, "_y", self.values.tolist())

    def __call__(self, score: Floats | float) -> Any:
        """The probability of each score: the argument's shape, in [0, 1]."""
        return np.interp(score, self.scores, self.values)

    def at(self, score: float) -> float:
        """The probability of one finite score: the same number, a fifth of the time."""
        x, y = self._x, self._y
        below = bisect_right(x, score) - 1
        if below < 0:
            return y[0]
        if below == len(x) - 1 or x[below] == score:
            return y[below]
        slope = (y[below + 1] - y[below]) / (x[below + 1] - x[below])  # numpy's own order of operations
        return slope * (score - x[below]) + y[below]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The knots."""
        return {"scores": self.scores, "values": self.values}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Raises `BundleError` for knots that are no monotone function into [0, 1]."""
        scores, values = arrays["scores"], arrays["values"]
        sound = scores.ndim == 1 and scores.shape == values.shape and len(scores) >= 1
        if not (sound and np.isfinite(scores).all() and np.isfinite(values).all()):
            raise BundleError(
                f"calibration knots: {scores.shape} scores and {values.shape} values; finite pairs expected"
            )
        if (np.diff(scores) <= 0).any() or (np.diff(values) < 0).any() or values[0] < 0 or values[-1] > 1:
            raise BundleError("calibration knots: scores must increase, values not decrease, within [0, 1]")
        return cls(scores.astype(np.float64), values.astype(np.float64))


def constant_curve(value: float) -> Curve:
    """A curve that ignores the score."""
    return Curve(np.array([0.5]), np.array([min(1.0, max(0.0, value))]))


def fit_curve(scores: Floats, y: Floats, weight: Floats, folds: NDArray[np.int64]) -> Curve:
    """The best of the three candidates for held-out `scores` (n,) in [0, 1] and targets `y` (n,) in [0, 1].

    `folds` (n,) groups rows that must not be told apart from each other when candidates are compared.
    Raises `FitError` for no rows or a number that is not finite.
    """
    if len(scores) == 0 or not (np.isfinite(scores).all() and np.isfinite(y).all()):
        raise FitError(f"calibration: {len(scores)} rows; at least one, all finite, is needed")
    # fewer make ragged steps
    makers: list[Callable[[Floats, Floats, Floats], Curve]] = [_same, _beta] + (
        [_isotonic] if len(scores) >= 500 else []
    )
    losses = np.zeros(len(makers))
    for fold in np.unique(folds):
        held = folds == fold
        if held.all():
            return _same(scores, y, weight)
        for place, make in enumerate(makers):
            curve = make(scores[~held], y[~held], weight[~held])
            losses[place] += log_loss(curve(scores[held]), y[held], weight[held]) * weight[held].sum()
    return makers[int(np.argmin(losses))](scores, y, weight)


def _same(_scores: Floats, _y: Floats, _weight: Floats) -> Curve:
    return Curve(np.array([0.0, 1.0]), np.array([0.0, 1.0]))


def _beta(scores: Floats, y: Floats, weight: Floats) -> Curve:
    s = np.clip(scores, _EDGE, 1 - _EDGE)
    design = np.stack([np.log(s), -np.log1p(-s), np.ones_like(s)], axis=1)  # (n, 3)
    coef = _newton(design, y, weight)
    if coef[0] < 0 or coef[1] < 0:  # not monotone: one slope for both sides (Platt 1999)
        joint = _newton(np.stack([design[:, 0] + design[:, 1], design[:, 2]], axis=1), y, weight)
        coef = np.array([joint[0], joint[0], joint[1]])
    if coef[0] < 0:
        return constant_curve(float(np.average(y, weights=weight)))
    logits = np.linspace(-7.0, 7.0, 57)
    knots = 1 / (1 + np.exp(-logits))
    z = coef[0] * np.log(knots) - coef[1] * np.log1p(-knots) + coef[2]
    return Curve(knots, 1 / (1 + np.exp(-z)))


def _newton(design: Floats, y: Floats, weight: Floats) -> Floats:
    """Logistic regression with soft targets and a weak prior towards coefficients (1, 1, 0)."""
    prior = np.ones(design.shape[1])
    prior[-1] = 0.0
    coef = prior.copy()
    strength = 1e-3 * weight.sum() / len(weight) * np.sqrt(len(weight))
    for _ in range(25):
        p = 1 / (1 + np.exp(-np.clip(design @ coef, -30, 30)))
        gradient = design.T @ (weight * (y - p)) - strength * (coef - prior)
        curvature = (design * (weight * p * (1 - p))[:, None]).T @ design
        curvature += (strength + 1e-9) * np.eye(len(coef))
        step = np.linalg.solve(curvature, gradient)
        coef = coef + step / max(1.0, float(np.abs(step).max()) / 2)  # a long step would overshoot
        if np.abs(step).max() < 1e-8:
            break
    return coef


def _isotonic(scores: Floats, y: Floats, weight: Floats) -> Curve:
    bins = min(30, max(5, len(scores) // 150))
    order = np.argsort(scores, kind="stable")
    xs, ys, ws = [], [], []
    for part in np.array_split(order, bins):
        ws.append(float(weight[part].sum()))
        xs.append(float(np.average(scores[part], weights=weight[part])))
        ys.append(float(np.average(y[part], weights=weight[part])))
    fitted = pool_adjacent_violators(np.array(ys), np.array(ws))
    # level beyond the outermost bins' means, but for the trace of slope
    x = np.concatenate(([min(0.0, xs[0] - 1e-6)], xs, [max(1.0, xs[-1] + 1e-6)]))
    fitted = np.concatenate((fitted[:1], fitted, fitted[-1:]))
    fitted = 0.98 * fitted + 0.02 * _beta(scores, y, weight)(x)  # a trace of slope keeps ranks apart
    keep = np.append(True, np.diff(x) > 1e-9)
    return Curve(x[keep], np.maximum.accumulate(np.clip(fitted[keep], 0.0, 1.0)))


def pool_adjacent_violators(y: Floats, weight: Floats) -> Floats:
    """The not-decreasing sequence nearest to `y` (n,) in weighted squares (Ayer et al. 1955)."""
    blocks: list[list[float]] = []  # [mean, weight, length]
    for value, mass in zip(y.tolist(), weight.tolist(), strict=True):
        blocks.append([value, mass, 1.0])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            mean, total, length = blocks.pop()
            last = blocks[-1]
            last[0] = (last[0] * last[1] + mean * total) / (last[1] + total)
            last[1] += total
            last[2] += length
    return np.repeat([block[0] for block in blocks], [int(block[2]) for block in blocks])


def log_loss(p: Floats, y: Floats, weight: Floats | None = None) -> float:
    """Mean cross-entropy in nats, -y ln p - (1 - y) ln(1 - p); p is kept within [1e-4, 1 - 1e-4]."""
    p = np.clip(p, _EDGE, 1 - _EDGE)
    return float(np.average(-y * np.log(p) - (1 - y) * np.log1p(-p), weights=weight))


def brier_skill(p: Floats, y: Floats) -> float:
    """1 - mean (p - y)^2 / variance of y: 1 is perfect, 0 the base rate, below 0 worse than it; 0 without variance."""
    spread = float(np.var(y))
    return 0.0 if spread == 0 else 1.0 - float(np.mean((p - y) ** 2)) / spread


def ece(p: Floats, y: Floats, bins: int = 10) -> float:
    """Expected calibration error: mean |mean p - mean y| over `bins` bins of equal mass.

    Biased upwards: see `ece_floor`. Equal predictions fall into bins in the order of the rows: shuffle rows that are
    sorted by what they are about.
    """
    order = np.argsort(p, kind="stable")
    return _gap(p[order] - y[order], _starts(len(p), bins))


def ece_floor(p: Floats, rng: np.random.Generator, bins: int = 10, draws: int = 200) -> float:
    """What `ece` shows for perfectly calibrated `p`: its mean over draws y ~ Bernoulli(p)."""
    p, starts = np.sort(p), _starts(len(p), bins)
    return float(np.mean([_gap(p - (rng.random(len(p)) < p), starts) for _ in range(draws)]))


def ece_debiased(p: Floats, y: Floats, rng: np.random.Generator, draws: int = 200) -> float:
    """max(0, `ece` - `ece_floor`)."""
    return max(0.0, ece(p, y) - ece_floor(p, rng, draws=draws))


def _starts(n: int, bins: int) -> NDArray[np.intp]:
    """Where each of `bins` runs of (almost) equal length begins; fewer where there are fewer rows."""
    return np.unique(np.linspace(0, n, bins + 1).astype(np.intp)[:-1])


def _gap(error: Floats, starts: NDArray[np.intp]) -> float:
    """sum over runs |sum of errors| / n."""
    return float(np.abs(np.add.reduceat(error, starts)).sum()) / len(error) if len(error) else 0.0
