"""What happened on the most similar queries of the fit: kernel regression over at most 2,000 of them.

E[v | x] = sum k_i v_i / sum k_i with k_i = exp(sharpness (cosine(x, x_i) - 1)) in the space of `text_space` (Nadaraya
1964, Watson 1964): neighbours without a cut-off, one product with a matrix. Missing values take no part. When it
fails: a query unlike all prototypes gets nearly their mean, and 2,000 hold few of each of very many kinds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors.errors import BundleError

MOST = 2000  # prototypes
SHARPNESS = 40.0  # a cosine of .9 weighs 1/50 of an equal text
_PRIOR = 1e-3  # of an equal text, at the mean of all


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Prototypes and their values."""

    places: NDArray[np.float32] = field(compare=False)  # (m, w) coordinates, of length 1
    values: NDArray[np.float32] = field(compare=False)  # (m, t), 0 where not known
    known: NDArray[np.float32] = field(compare=False)  # (m, t), 1 where known
    mean: NDArray[np.float64] = field(compare=False)  # (t,)

    def of(self, place: NDArray[np.float32]) -> NDArray[np.float64]:
        """The expected values at one text's coordinates (w,), shape (t,)."""
        # not a BLAS product: its rounding may depend on the number of threads
        near = np.exp(SHARPNESS * (np.einsum("mw,w->m", self.places, place) - 1.0))
        total = np.einsum("m,mt->t", near, self.values).astype(np.float64) + _PRIOR * self.mean
        return np.asarray(total / (np.einsum("m,mt->t", near, self.known).astype(np.float64) + _PRIOR))

    def many(self, places: NDArray[np.float32]) -> NDArray[np.float64]:
        """The same for n texts, shape (n, t), for use in fits: fast, and equal but for rounding."""
        found = np.empty((len(places), len(self.mean)))
        for start in range(0, len(places), 1024):
            near = np.exp(SHARPNESS * (places[start : start + 1024] @ self.places.T - 1.0))
            total = near @ self.values + _PRIOR * self.mean
            found[start : start + 1024] = total / (near @ self.known + _PRIOR)
        return found

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned."""
        return {name: getattr(self, name) for name in ("places", "values", "known", "mean")}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Raises `BundleError` for shapes that do not fit together."""
        found = cls(*(np.asarray(arrays[name]) for name in ("places", "values", "known", "mean")))
        shape = (len(found.places), len(found.mean))
        if found.places.ndim != 2 or found.values.shape != shape or found.known.shape != shape:
            raise BundleError(f"neighbours: values {found.values.shape} for {shape[0]} prototypes")
        return found


def prototypes(
    places: NDArray[np.float32], values: NDArray[np.float64], rng: np.random.Generator, most: int = MOST
) -> Neighbours:
    """From n texts' coordinates (n, w) and values (n, t), NaN where not known; at most `most` of them, drawn."""
    chosen = np.sort(rng.permutation(len(places))[:most])
    kept = values[chosen]
    known = np.isfinite(kept)
    mean = np.where(known, kept, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    filled = np.where(known, kept, 0.0).astype(np.float32)
    return Neighbours(places[chosen].astype(np.float32), filled, known.astype(np.float32), mean)
