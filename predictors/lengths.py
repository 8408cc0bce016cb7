"""How many output tokens will a sample have? Its expectation, and the length that 9 of 10 stay below.

Per backend two linear forms over standardised features and scores: of log(1 + tokens), whose held-out residuals give
the quantile, and of the logarithm of the mean; where it helps, boosted trees over the same numbers have a share in the
mean. See `length_fit` for how they are learned, and for when they fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors.errors import BundleError
from predictors.packing import packed, unpacked
from predictors.scaled_products import scaled_products
from predictors.trees import Trees

Floats = NDArray[np.float64]
CUT = 5.0  # standard deviations


@dataclass(frozen=True, slots=True)
class Lengths:
    """Expected tokens and .9 quantile of each backend."""

    mean: Floats = field(compare=False)  # (d,) of features
    scale: Floats = field(compare=False)  # (d,)
    coef: Floats = field(compare=False)  # (d + 1, 2 backends): logs, then logs of means; last row: intercepts
    upper: Floats = field(compare=False)  # (backends,) .9 quantile of residuals, in logs
    most: Floats = field(compare=False)  # (backends,) longest seen
    share: Floats = field(compare=False)  # (backends,) of the trees in the expectation
    trees: tuple[Trees | None, ...] = field(compare=False)  # of tokens / most; None where their share is 0

    def predict(self, row: NDArray[np.float32]) -> tuple[Floats, Floats]:
        """Expected tokens (backends,) and their .9 quantile (backends,) for one query's row (d,)."""
        logs = np.minimum(scaled_products(row, self.mean, self.scale, CUT, self.coef), 20.0)
        backends = len(self.most)
        expected = np.minimum(np.exp(logs[backends:]), self.most)
        for place, trees in enumerate(self.trees):
            if trees is not None:
                share = self.share[place]
                expected[place] = (1 - share) * expected[place] + share * self.most[place] * trees.row(row)
        return expected, np.minimum(np.expm1(logs[:backends] + self.upper), self.most)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned."""
        plain = {name: getattr(self, name) for name in ("mean", "scale", "coef", "upper", "most", "share")}
        grown = {
            f"trees{place}": trees.arrays() for place, trees in enumerate(self.trees) if trees is not None
        }
        return plain | packed(grown)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Raises `BundleError` for shapes that do not fit together."""
        names = ("mean", "scale", "coef", "upper", "most")
        mean, scale, coef, upper, most = (np.asarray(arrays[name]) for name in names)
        share = np.asarray(arrays.get("share", np.zeros(upper.shape)))
        width, backends = mean.shape, upper.shape
        factor = arrays.get("factor")  # of an older bundle: a mean was the typical length times it
        if factor is not None and coef.shape[1:] == factor.shape == backends:
            means = coef.copy()
            means[-1] += np.log(np.maximum(factor, 1e-9))
            coef = np.hstack([coef, means])
        shapes = (*(size + 1 for size in width), *(2 * size for size in backends))
        if coef.shape != shapes or scale.shape != width or not most.shape == share.shape == backends:
            raise BundleError(
                f"lengths: coef {coef.shape} does not fit {width} features and {backends} backends"
            )
        found: list[Trees | None] = []
        for place in range(len(upper)):
            grown = unpacked(arrays, f"trees{place}")
            trees = Trees.from_arrays(grown) if grown else None
            if trees is not None and (trees.columns,) != width:
                raise BundleError(f"lengths: trees over {trees.columns} numbers; {width} are expected")
            found.append(trees)
        return cls(mean, scale, coef, upper, most, share, tuple(found))
