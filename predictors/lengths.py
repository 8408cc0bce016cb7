"""How many output tokens will a sample have? Its expectation, and the length that 9 of 10 stay below.

Per backend: ridge regression of log(1 + tokens) on standardised features and scores, with the penalty that errs least
on rows held out from it, which may be so large that the text tells nothing; then a factor that makes the mean right
(Duan's smearing estimate, 1983) and the .9 quantile of the residuals, both of held-out rows. Samples cut by a limit are
censored: the others are weighted by the inverse of the Kaplan-Meier estimate of not having been cut (Robins & Rotnitzky
1992). When it fails: a limit that cuts most samples; then only min(tokens, limit) is identified, and it is what is
predicted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors.errors import BundleError
from predictors.scaled_products import column_scales, scaled_products

Floats = NDArray[np.float64]
_PENALTIES = (10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 1e9)  # rows; with the last the text tells nothing
_LEAST_CHANCE = 0.05  # of not being cut: bounds a row's weight by 20
_ENOUGH_ROWS = 50  # with fewer the backend's mean is served
_CUT = 5.0  # standard deviations


@dataclass(frozen=True, slots=True)
class Lengths:
    """Expected tokens and .9 quantile of each backend."""

    mean: Floats = field(compare=False)  # (d,) of features
    scale: Floats = field(compare=False)  # (d,)
    coef: Floats = field(compare=False)  # (d + 1, backends), last row: intercept
    factor: Floats = field(compare=False)  # (backends,) smearing
    upper: Floats = field(compare=False)  # (backends,) .9 quantile of residuals, in logs
    most: Floats = field(compare=False)  # (backends,) longest seen

    def predict(self, row: NDArray[np.float32]) -> tuple[Floats, Floats]:
        """Expected tokens (backends,) and their .9 quantile (backends,) for one query's row (d,)."""
        logs = scaled_products(row, self.mean, self.scale, _CUT, self.coef)
        expected = np.minimum(np.exp(np.minimum(logs, 20.0)) * self.factor, self.most)
        return expected, np.minimum(np.expm1(np.minimum(logs + self.upper, 20.0)), self.most)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned."""
        return {name: getattr(self, name) for name in ("mean", "scale", "coef", "factor", "upper", "most")}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Raises `BundleError` for shapes that do not fit together."""
        found = cls(
            **{
                name: np.asarray(arrays[name])
                for name in ("mean", "scale", "coef", "factor", "upper", "most")
            }
        )
        width, backends = found.mean.shape, found.factor.shape
        if found.coef.shape != (*(size + 1 for size in width), *backends) or found.scale.shape != width:
            raise BundleError(
                f"lengths: coef {found.coef.shape} does not fit {width} features and {backends} backends"
            )
        return found


def fit_lengths(
    rows: NDArray[np.float32], tokens: Floats, cut: NDArray[np.bool_], parts: NDArray[np.int64]
) -> Lengths:
    """Fit on `rows` (n, d) and tokens (n, backends), NaN where unknown; `cut` (n, backends): stopped by a limit.

    `parts` (n,) of the rows are held out in turn to choose how much is believed.
    """
    mean, scale = column_scales(rows)
    z = np.clip((rows - mean) * scale, -_CUT, _CUT)
    z1 = np.hstack([z, np.ones((len(z), 1))])
    backends = tokens.shape[1]
    coef, factor = np.zeros((z1.shape[1], backends)), np.ones(backends)
    upper, most = np.zeros(backends), np.ones(backends)
    for place in range(backends):
        known = np.flatnonzero(np.isfinite(tokens[:, place]))
        if len(known) == 0:
            continue
        seen = tokens[known, place]
        weight = uncensored_weights(seen, cut[known, place])
        used = weight > 0
        known, seen, weight = known[used], seen[used], weight[used]
        logs = np.log1p(seen)
        coef[-1, place] = np.average(logs, weights=weight)
        held_out = np.full(len(known), coef[-1, place])
        if len(known) >= _ENOUGH_ROWS and logs.std() > 1e-9 and np.ptp(parts[known]) > 0:
            coef[:, place], held_out = _believed(z1[known], logs, weight, parts[known])
        factor[place] = np.average(seen, weights=weight) / np.average(np.exp(held_out), weights=weight)
        upper[place] = weighted_quantile(logs - held_out, weight, 0.9)
        most[place] = seen.max()
    return Lengths(mean, scale, coef, factor, upper, most)


def _believed(x: Floats, y: Floats, weight: Floats, parts: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Coefficients (d + 1,) under the best penalty for rows x (n, d + 1), and what each is told without its part."""
    weighted = x * weight[:, None]
    own = [parts == part for part in np.unique(parts)]
    squares, products = (
        [weighted[rows].T @ x[rows] for rows in own],
        [weighted[rows].T @ y[rows] for rows in own],
    )
    square, product = np.sum(squares, axis=0), np.sum(products, axis=0)
    shape = np.diag(np.append(np.ones(x.shape[1] - 1), 1e-6))  # the last column's mean is no belief
    best, least, told = _PENALTIES[-1], np.inf, np.zeros(len(y))
    for penalty in _PENALTIES:
        said = np.zeros(len(y))
        for rows, part_square, part_product in zip(own, squares, products, strict=True):
            rest = np.linalg.solve(square - part_square + penalty * shape, product - part_product)
            said[rows] = x[rows] @ rest
        error = float(np.average((y - said) ** 2, weights=weight))
        if error < least:
            best, least, told = penalty, error, said
    return np.linalg.solve(square + best * shape, product), told


def uncensored_weights(tokens: Floats, cut: NDArray[np.bool_]) -> Floats:
    """1 / P(not cut before this length) for complete samples (n,), 0 for cut ones; all 1 where all were cut."""
    if cut.all() or not cut.any():
        return np.ones(len(tokens))
    order = np.lexsort((cut, tokens))  # at equal length, complete samples end before cut ones
    at_risk = np.arange(len(tokens), 0, -1)
    chance = np.cumprod(1 - cut[order] / at_risk)
    before = np.append(1.0, chance[:-1])
    weight = np.zeros(len(tokens))
    weight[order] = np.where(cut[order], 0.0, 1 / np.maximum(before, _LEAST_CHANCE))
    # nobody complete stands for the longest: keep those cut as what they are, a lower bound
    if cut[order][-1]:
        weight[cut & (tokens >= tokens[~cut].max())] = 1 / max(float(before[-1]), _LEAST_CHANCE)
    return weight


def weighted_quantile(values: Floats, weight: Floats, level: float) -> float:
    """The smallest value with at least `level` of the weight at or below it."""
    order = np.argsort(values)
    share = np.cumsum(weight[order]) / weight.sum()
    return float(values[order][min(int(np.searchsorted(share, level)), len(values) - 1)])
