"""Learn how many output tokens a sample will have: what is typical, its mean, and how far residuals go.

Per backend a ridge regression of log(1 + tokens), with the penalty that errs least on rows held out from it, which may
be so large that the text tells nothing. A factor on its exponential is no mean where some queries' lengths scatter more
than others', so the mean is a Poisson regression drawn towards it (`mean_regression`), blended with boosted trees over
the same numbers: both as far as held-out rows ask for. Samples cut by a limit are censored: the others are weighted by
the inverse of the Kaplan-Meier estimate of not having been cut (Robins & Rotnitzky 1992).
When it fails: a limit that cuts most samples; then only min(tokens, limit) is identified, and it is what is predicted.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from predictors.lengths import CUT, Lengths
from predictors.mean_regression import poisson_deviance, poisson_fit, poisson_mean
from predictors.scaled_products import column_scales
from predictors.trees import Trees

Floats = NDArray[np.float64]
_PENALTIES = (10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 1e9)  # rows; with the last the text tells nothing
_TOWARDS = (1e9, 3000.0, 300.0, 30.0)  # rows of belief in the regression of logs, falling
_SHARES = tuple(step / 10 for step in range(11))  # of the trees in the mean
_LEAST_GAIN = 0.01  # of the deviance: what trees take off at least
_LEAST_CHANCE = 0.05  # of not being cut: bounds a row's weight by 20
_ENOUGH_ROWS = 50  # with fewer the backend's mean is served
_ENOUGH_FOR_TREES = 300
_MOST_ROWS = 20_000  # of a backend; a seeded choice where there are more
_LEAST_MEAN = 1e-9  # tokens; a logarithm needs one


@dataclass(frozen=True, slots=True)
class LengthFit:
    """The model, and what it expects of its own rows while they are held out."""

    lengths: Lengths
    expected: Floats = field(compare=False)  # (n, backends) tokens


@dataclass(frozen=True, slots=True)
class _Backend:
    """One backend's part; d features."""

    logs: Floats = field(compare=False)  # (d + 1,)
    means: Floats = field(compare=False)  # (d + 1,)
    upper: float
    most: float
    expected: Floats = field(compare=False)  # of its own rows while they are held out
    share: float = 0.0
    trees: Trees | None = None


@dataclass(frozen=True, slots=True)
class _Rows:
    """What one backend's part is fitted on."""

    z: Floats = field(compare=False)  # (n, d + 1), standardised, last column 1
    raw: NDArray[np.float32] = field(compare=False)  # (n, d)
    tokens: Floats = field(compare=False)  # (n,)
    weight: Floats = field(compare=False)  # (n,)
    parts: NDArray[np.int64] = field(compare=False)  # (n,)

    def of(self, where: NDArray[np.bool_]) -> _Rows:
        return _Rows(
            self.z[where], self.raw[where], self.tokens[where], self.weight[where], self.parts[where]
        )


def fit_lengths(
    rows: NDArray[np.float32],
    tokens: Floats,
    cut: NDArray[np.bool_],
    parts: NDArray[np.int64],
    seed: int = 0,
    *,
    with_trees: bool = True,
) -> LengthFit:
    """Fit on `rows` (n, d) and tokens (n, backends), NaN where unknown; `cut` (n, backends): stopped by a limit.

    `parts` (n,) of the rows are held out in turn to choose how much is believed.
    """
    mean, scale = column_scales(rows)
    z = np.hstack([np.clip((rows - mean) * scale, -CUT, CUT), np.ones((len(rows), 1))])
    found, own = [], []
    for place in range(tokens.shape[1]):
        known = np.flatnonzero(np.isfinite(tokens[:, place]))
        seen = tokens[known, place]
        weight = uncensored_weights(seen, cut[known, place])
        used = np.flatnonzero(weight > 0)
        if len(used) > _MOST_ROWS:  # the others are held out by that alone
            used = np.sort(np.random.default_rng([seed, place]).permutation(used)[:_MOST_ROWS])
        known = known[used]
        own.append(known)
        mine = _Rows(z[known], rows[known], seen[used], weight[used], parts[known])
        found.append(_fit_one(mine, seed + place, with_trees=with_trees))
    lengths = Lengths(
        mean, scale,
        np.stack([one.logs for one in found] + [one.means for one in found], axis=1),
        np.array([one.upper for one in found]), np.array([one.most for one in found]),
        np.array([one.share for one in found]), tuple(one.trees for one in found),
    )  # fmt: skip
    expected = np.array([lengths.predict(row)[0] for row in rows])
    for place, (known, one) in enumerate(zip(own, found, strict=True)):
        expected[known, place] = one.expected
    return LengthFit(lengths, expected)


def _fit_one(rows: _Rows, seed: int, *, with_trees: bool) -> _Backend:
    logs, means = np.zeros(rows.z.shape[1]), np.zeros(rows.z.shape[1])
    if len(rows.tokens) == 0:
        return _Backend(logs, means, 0.0, 1.0, np.zeros(0))
    y, most = np.log1p(rows.tokens), float(rows.tokens.max())
    average = float(np.average(rows.tokens, weights=rows.weight))
    logs[-1], means[-1] = np.average(y, weights=rows.weight), np.log(max(average, _LEAST_MEAN))
    if len(y) < _ENOUGH_ROWS or y.std() <= 1e-9 or np.ptp(rows.parts) == 0:
        upper = weighted_quantile(y - logs[-1], rows.weight, 0.9)
        return _Backend(logs, means, upper, most, np.full(len(y), average))
    logs, held_out, without = _believed(rows.z, y, rows.weight, rows.parts)
    upper = weighted_quantile(y - held_out, rows.weight, 0.9)
    # a mean of exponentials is more than the exponential of a mean (Duan's smearing estimate, 1983)
    factor = np.log(average / np.average(np.exp(held_out), weights=rows.weight))
    towards = logs.copy()
    towards[-1] += factor
    without[:, -1] += factor
    means, expected = _mean(rows, towards, without, most)
    if not with_trees or len(y) < _ENOUGH_FOR_TREES:
        return _Backend(logs, means, upper, most, expected)
    trees, of_trees = _grown(rows, most, seed)
    share = _trees_share(rows, expected, of_trees)
    expected = (1 - share) * expected + share * of_trees
    return _Backend(logs, means, upper, most, expected, share, trees if share else None)


def _mean(rows: _Rows, towards: Floats, without: Floats, most: float) -> tuple[Floats, Floats]:
    """Coefficients (d + 1,) of the mean's logarithm, and the means (n,) expected without each row's part.

    `towards`: those of the regression of logs; `without` (parts, d + 1): the same without each part.
    """
    numbers = np.unique(rows.parts)
    begun = without.copy()
    told = np.zeros(len(rows.tokens))
    best, least, chosen = _TOWARDS[0], np.inf, told
    for penalty in _TOWARDS:  # falling: each begins where the one before ended
        told = np.zeros(len(rows.tokens))
        for place, part in enumerate(numbers):
            inside = rows.parts != part
            rest = rows.of(inside)
            begun[place] = poisson_fit(
                rest.z, rest.tokens, rest.weight, begun[place], without[place], penalty
            )
            told[~inside] = poisson_mean(rows.z[~inside], begun[place], most)
        error = poisson_deviance(rows.tokens, told, rows.weight)
        if error < least:
            best, least, chosen = penalty, error, told
    return poisson_fit(rows.z, rows.tokens, rows.weight, towards, towards, best), chosen


def _grown(rows: _Rows, most: float, seed: int) -> tuple[Trees, Floats]:
    """Trees of tokens / most, and the tokens (n,) that they expect without each row's part."""
    told = np.zeros(len(rows.tokens))
    for part in np.unique(rows.parts):
        inside = rows.parts != part
        told[~inside] = most * _trees(rows.of(inside), most, seed).predict(rows.raw[~inside])
    return _trees(rows, most, seed), told


def _trees(rows: _Rows, most: float, seed: int) -> Trees:
    # the mean in place of the most as the unit: then a row counts for as much as their regulariser supposes
    weight = rows.weight * most / max(float(np.average(rows.tokens, weights=rows.weight)), _LEAST_MEAN)
    trees = Trees(60, leaves=15, rate=0.1, rows_per_leaf=40, features=0.4)
    return trees.fit(rows.raw, np.minimum(rows.tokens / most, 1.0), weight, seed)


def _trees_share(rows: _Rows, linear: Floats, trees: Floats) -> float:
    lost = [
        poisson_deviance(rows.tokens, (1 - share) * linear + share * trees, rows.weight) for share in _SHARES
    ]
    best = int(np.argmin(lost))
    return _SHARES[best] if lost[best] < (1 - _LEAST_GAIN) * lost[0] else 0.0


def _believed(
    x: Floats, y: Floats, weight: Floats, parts: NDArray[np.int64]
) -> tuple[Floats, Floats, Floats]:
    """Coefficients (d + 1,) under the best penalty for rows x (n, d + 1), and what each row is told without its part.

    Last: the coefficients without each part, (parts, d + 1).
    """
    weighted = x * weight[:, None]
    own = [parts == part for part in np.unique(parts)]
    squares, products = (
        [weighted[rows].T @ x[rows] for rows in own],
        [weighted[rows].T @ y[rows] for rows in own],
    )
    square, product = np.sum(squares, axis=0), np.sum(products, axis=0)
    shape = np.diag(np.append(np.ones(x.shape[1] - 1), 1e-6))  # the last column's mean is no belief
    best, least, told = _PENALTIES[-1], np.inf, np.zeros(len(y))
    without = np.zeros((len(own), x.shape[1]))
    for penalty in _PENALTIES:
        said, rest = np.zeros(len(y)), np.zeros(without.shape)
        for place, (rows, part_square, part_product) in enumerate(zip(own, squares, products, strict=True)):
            rest[place] = np.linalg.solve(square - part_square + penalty * shape, product - part_product)
            said[rows] = x[rows] @ rest[place]
        error = float(np.average((y - said) ** 2, weights=weight))
        if error < least:
            best, least, told, without = penalty, error, said, rest
    return np.linalg.solve(square + best * shape, product), told, without


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
