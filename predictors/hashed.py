"""Ridge regression on hashed n-grams, all targets at once.

A text is the set of its buckets, weighted by inverse document frequency to a power and scaled to length 1. The
targets share one table: a prediction gathers the rows of a text's buckets and adds them up. Solved by conjugate
gradients on (X'WX + penalty I) v = X'W (y - mean), one right-hand side per target and fold, so that cross-fitting
reads the matrix once. When it fails: texts of another domain, whose buckets were never seen: the prediction is the
mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors.compiled import BUILT, add_rows
from predictors.errors import BundleError

_STEPS = 25  # conjugate-gradient steps: what comes later fits noise
_CLOSE = 1e-3  # relative residual norm at which a target is done
_TOGETHER = 192  # right-hand sides that are solved side by side: bounds the memory of a hundred backends
_AT_ONCE = 32  # columns of a product: as many as stay in a processor's cache
MOST_BUCKETS = 2**24  # of a table that is read: more would be a file that wants the memory


@dataclass(frozen=True, slots=True)
class HashedRidge:
    """A fitted table; a text's scores are its buckets' rows summed, over the length of its weights, plus the mean."""

    table: NDArray[np.float32] = field(compare=False)  # (buckets, targets + 1); last column: squared weight
    mean: NDArray[np.float64] = field(compare=False)  # (targets,)

    def scores(self, buckets: NDArray[np.int64]) -> NDArray[np.float64]:
        """The prediction of every target, shape (targets,); not bounded."""
        if len(buckets) == 0:
            return self.mean.copy()
        # rows are added one after another, as a sum over axis 0 would: so it is not a matter of how many there are
        if BUILT:
            total = np.frombuffer(add_rows(self.table, self.table.shape[1], buckets, None))
        else:
            total = np.einsum("kt->t", self.table.take(buckets, axis=0).astype(np.float64))
        return np.asarray(self.mean + total[:-1] / max(float(total[-1]), 1e-12) ** 0.5)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Only the rows of buckets that differ from those of new n-grams."""
        seen = np.flatnonzero(self.table[:, :-1].any(axis=1) | (self.table[:, -1] != self.table[:, -1].max()))
        size = np.array([len(self.table)], dtype=np.int64)
        new = self.table[:, -1].max(keepdims=True)
        return {
            "seen": seen.astype(np.int32),
            "rows": self.table[seen],
            "mean": self.mean,
            "size": size,
            "new": new,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Raises `BundleError` for shapes that do not fit together."""
        seen, rows, mean, size, new = (arrays[name] for name in ("seen", "rows", "mean", "size", "new"))
        width = len(mean) + 1
        if rows.shape != (len(seen), width) or (len(seen) and not 0 <= seen.min() <= seen.max() < size[0]):
            raise BundleError(
                f"hashed: {rows.shape} rows for {len(seen)} of {size[0]} buckets and {len(mean)} targets"
            )
        if not 0 < size[0] <= MOST_BUCKETS:
            raise BundleError(f"hashed: {size[0]} buckets; at most {MOST_BUCKETS} are read")
        table = np.zeros((int(size[0]), width), dtype=np.float32)
        table[:, -1] = new[0]
        table[seen] = rows
        return cls(table, mean.astype(np.float64))


@dataclass(frozen=True, slots=True)
class CrossFit:
    """What one fit gives: the table on all rows, and every row's scores by a fit without its fold."""

    full: HashedRidge
    held_out: NDArray[np.float64] = field(compare=False)  # (n, targets)


def weighted_sets(
    texts: Sequence[NDArray[np.int64]], size: int, rarity: float
) -> tuple[Any, NDArray[np.int64], NDArray[np.float64]]:
    """The texts as a sparse matrix (n, used) of rows of length 1, the buckets of its columns, all buckets' weights."""
    from scipy import sparse

    lengths = np.array([len(buckets) for buckets in texts])
    columns = np.concatenate(texts) if len(texts) else np.zeros(0, dtype=np.int64)
    often = np.bincount(columns, minlength=size)
    # smoothed idf (scikit-learn's); a bucket that is new when serving weighs as one of a held-out text alone did here
    weight = (np.log((1 + len(texts)) / (1 + np.maximum(1, often))) + 1) ** rarity
    values = weight[columns]
    squares = np.add.reduceat(np.append(values**2, 0.0), np.append(0, np.cumsum(lengths)[:-1])) * (
        lengths > 0
    )
    values = values / np.repeat(np.sqrt(np.maximum(squares, 1e-12)), lengths)
    used, packed = np.unique(columns, return_inverse=True)
    starts = np.append(0, np.cumsum(lengths))
    x = sparse.csr_matrix((values.astype(np.float32), packed, starts), shape=(len(texts), len(used)))
    return x, used, weight


def fit_hashed(
    texts: Sequence[NDArray[np.int64]],
    size: int,
    y: NDArray[np.float64],
    folds: NDArray[np.int64],
    penalty: float,
    rarity: float,
) -> CrossFit:
    """Fit `y` (n, targets), NaN where unlabelled, on the buckets of n texts; `folds` (n,) are held out in turn.

    `rarity` is the power of the inverse document frequency: 0 treats all n-grams alike, 1 is tf-idf.
    """
    x, used, weight = weighted_sets(texts, size, rarity)
    parts = np.unique(folds)
    known = np.isfinite(y)
    masks = [known & (folds != part)[:, None] for part in parts] + [known]
    solved, mean = _solved(x, y, masks, penalty)
    held_out = np.empty(y.shape)
    for place, part in enumerate(parts):
        rows = np.flatnonzero(folds == part)
        held_out[rows] = x[rows] @ solved[place] + mean[place]
    return CrossFit(table_of(solved[-1], used, weight, mean[-1]), held_out)


def scores_while_held_out(
    texts: Sequence[NDArray[np.int64]],
    size: int,
    y: NDArray[np.float64],
    folds: NDArray[np.int64],
    penalty: float,
    rarity: float,
    held_out: NDArray[np.float64],
) -> dict[int, NDArray[np.float64]]:
    """Fold -> scores (n, targets) of all rows that know none of its labels, arguments as of `fit_hashed`.

    Its own rows have those of `held_out`, the others are scored without their own fold as well. What reads scores and
    is judged on a fold must be fitted on these: `held_out` of the other folds' rows was fitted on its labels, and
    where there is nothing else to learn, that is learned.
    """
    x, _, _ = weighted_sets(texts, size, rarity)
    known = np.isfinite(y)
    parts = np.unique(folds).tolist()
    found = {part: held_out.copy() for part in parts}
    for at, one in enumerate(parts[:-1]):  # in steps: all pairs at once would be much memory
        others = parts[at + 1 :]
        masks = [known & ((folds != one) & (folds != other))[:, None] for other in others]
        solved, mean = _solved(x, y, masks, penalty)
        for place, other in enumerate(others):
            for out, scored in ((one, other), (other, one)):
                rows = np.flatnonzero(folds == scored)
                found[out][rows] = x[rows] @ solved[place] + mean[place]
    return found


def _solved(
    x: Any, y: NDArray[np.float64], masks: Sequence[NDArray[np.bool_]], penalty: float
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float64]]]:
    """Coefficients (used, targets) and means (targets,) for each choice of the labels, all in one run."""
    width = y.shape[1]
    mask = np.concatenate(masks, axis=1).astype(np.float32)
    target = np.tile(np.where(np.isfinite(y), y, 0.0), (1, len(masks)))
    mean = (target * mask).sum(axis=0) / np.maximum(mask.sum(axis=0), 1)
    solved = np.empty((x.shape[1], mask.shape[1]), dtype=np.float32)
    for start in range(0, mask.shape[1], _TOGETHER):
        some = slice(start, start + _TOGETHER)
        sides = ((target[:, some] - mean[some]) * mask[:, some]).astype(np.float32)
        solved[:, some] = _conjugate_gradients(x, sides, mask[:, some], penalty)
    blocks = [slice(place * width, (place + 1) * width) for place in range(len(masks))]
    return [solved[:, block] for block in blocks], [mean[block] for block in blocks]


def _product(x: Any, y: NDArray[np.float32]) -> NDArray[np.float32]:
    """x @ y for sparse x: the same sums, in half of the time where y is wide."""
    if y.shape[1] <= _AT_ONCE:
        return np.asarray(x @ y)
    found = np.empty((x.shape[0], y.shape[1]), dtype=np.float32)
    for start in range(0, y.shape[1], _AT_ONCE):
        found[:, start : start + _AT_ONCE] = x @ np.ascontiguousarray(y[:, start : start + _AT_ONCE])
    return found


def table_of(
    solved: NDArray[Any], used: NDArray[np.int64], weight: NDArray[np.float64], mean: NDArray[np.float64]
) -> HashedRidge:
    """What serves: coefficients `solved` (used, targets) of the columns of `weighted_sets`, and what is added."""
    table = np.zeros((len(weight), solved.shape[1] + 1), dtype=np.float32)
    table[used, :-1] = solved * weight[used, None]
    table[:, -1] = weight**2
    return HashedRidge(table, mean)


def _conjugate_gradients(
    x: Any, y: NDArray[np.float32], mask: NDArray[np.float32], penalty: float
) -> NDArray[np.float32]:
    """Solve (X' M_t X + penalty I) v_t = X' y_t for every column t, shape (d, t); y is zero where the mask is."""
    back = x.T.tocsr()
    rest = _product(back, y)
    solved = np.zeros_like(rest)
    way = rest.copy()
    norm = np.square(rest).sum(axis=0)
    enough = _CLOSE**2 * norm
    for _ in range(_STEPS):
        if (norm <= enough).all():
            break
        image = _product(back, mask * _product(x, way)) + penalty * way
        step = norm / np.maximum((way * image).sum(axis=0), 1e-30)
        solved += step * way
        rest -= step * image
        after = np.square(rest).sum(axis=0)
        way = rest + (after / np.maximum(norm, 1e-30)) * way
        norm = after
    return np.asarray(solved)
