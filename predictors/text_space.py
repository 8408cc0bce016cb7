"""A query's place among the texts of the fit: few numbers, near for texts that are made alike.

Latent semantic analysis (Deerwester et al. 1990): rows of tf-idf weighted n-grams X ~ U S V', by randomised range
finding (Halko, Martinsson & Tropp 2011); a text is the sum of idf times V over its buckets, scaled to length 1.
Templates and topics become directions, so that trees can tell kinds of queries that nobody named. When it fails:
texts that share no n-gram with the fit's lie at 0, and what 32 directions cannot hold is not seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors.compiled import BUILT, add_rows
from predictors.errors import BundleError

WIDTH = 32
_MOST_ROWS = 15_000  # texts that it is fitted on; more would tell the same
_MOST_BUCKETS = 50_000  # the most frequent ones
_ITERATIONS = 3  # of the power method
_SPARE = 8  # further directions while searching


@dataclass(frozen=True, slots=True)
class TextSpace:
    """`place[bucket]` is the bucket's row of `vectors`, whose first row is zero: for what was never seen twice."""

    place: NDArray[np.int32] = field(compare=False)  # (buckets,)
    vectors: NDArray[np.float32] = field(compare=False)  # (seen + 1, WIDTH)

    def of(self, buckets: NDArray[np.int64]) -> NDArray[np.float32]:
        """The text's coordinates, shape (WIDTH,), of length 1 or 0."""
        if BUILT:
            total = np.frombuffer(add_rows(self.vectors, WIDTH, buckets, self.place))
        else:
            places = self.place.take(buckets)
            seen = places[places != 0]  # most of a text's buckets are not: their rows are zero
            total = self.vectors.take(seen, axis=0).sum(axis=0, dtype=np.float64)
        length = float((total * total).sum()) ** 0.5
        return (total / length if length > 1e-9 else np.zeros(WIDTH)).astype(np.float32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned."""
        seen = np.flatnonzero(self.place)
        size = np.array([len(self.place)], dtype=np.int64)
        return {"seen": seen.astype(np.int32), "rows": self.vectors[self.place[seen]], "size": size}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Raises `BundleError` for shapes that do not fit together."""
        seen, rows, size = arrays["seen"], arrays["rows"], int(arrays["size"][0])
        if rows.shape != (len(seen), WIDTH) or (len(seen) and not 0 <= seen.min() <= seen.max() < size):
            raise BundleError(f"text space: {rows.shape} vectors for {len(seen)} of {size} buckets")
        return cls(*_indexed(seen, rows.astype(np.float32), size))


def fit_text_space(texts: Sequence[NDArray[np.int64]], size: int, seed: int) -> TextSpace:
    """From the sorted distinct buckets of n texts, out of `size` buckets. Few or unlike texts give a space of 0."""
    from scipy import sparse

    rng = np.random.default_rng(seed)
    if len(texts) > _MOST_ROWS:
        texts = [texts[place] for place in np.sort(rng.permutation(len(texts))[:_MOST_ROWS])]
    columns = np.concatenate(texts) if texts else np.zeros(0, dtype=np.int64)
    often = np.bincount(columns, minlength=size)
    seen = np.sort(np.argsort(-often, kind="stable")[:_MOST_BUCKETS])
    seen = seen[often[seen] >= 2]
    wanted = min(WIDTH, len(texts) - 1, len(seen) - 1)
    if wanted < 1:
        return TextSpace(*_indexed(np.zeros(0, np.int64), np.zeros((0, WIDTH), np.float32), size))
    rarity = np.log((1 + len(texts)) / (1 + often[seen])) + 1
    moved = np.full(size, -1, dtype=np.int64)
    moved[seen] = np.arange(len(seen))
    row = np.repeat(np.arange(len(texts)), [len(buckets) for buckets in texts])
    kept = moved[columns] >= 0
    row, column = row[kept], moved[columns[kept]]
    length = np.sqrt(np.bincount(row, rarity[column] ** 2, minlength=len(texts)))
    value = (rarity[column] / np.maximum(length[row], 1e-9)).astype(np.float32)
    x = sparse.csr_matrix((value, (row, column)), shape=(len(texts), len(seen)))
    vectors = np.zeros((len(seen), WIDTH), dtype=np.float32)
    vectors[:, :wanted] = _directions(x, wanted, rng) * rarity[:, None]
    return TextSpace(*_indexed(seen, vectors, size))


def _directions(x: Any, wanted: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """The leading right singular vectors of a sparse matrix (n, d), shape (d, wanted)."""
    tall = min(wanted + _SPARE, *x.shape)
    back = x.T.tocsr()
    found = x @ rng.standard_normal((x.shape[1], tall)).astype(np.float32)
    for _ in range(_ITERATIONS):
        found = x @ (back @ np.linalg.qr(found)[0])
    basis = np.linalg.qr(found)[0]
    right = np.linalg.svd((back @ basis).T.astype(np.float64), full_matrices=False)[2]
    return np.asarray(right[:wanted].T)


def _indexed(
    seen: NDArray[Any], rows: NDArray[np.float32], size: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    place = np.zeros(size, dtype=np.int32)
    place[seen] = np.arange(1, len(seen) + 1)
    return place, np.vstack([np.zeros((1, WIDTH), dtype=np.float32), rows])
