"""What a query alone tells: calibrated heads over one shared table of n-grams and one row of features.

The ridge scores of a text are, per backend, its expected reward and log(1 + output tokens). A head blends up to three
members: its base rate, a linear combination of scores, and boosted trees over dense features and scores; then comes a
calibration curve. Heads are P(right) of each backend and
(gain + 1) / 2 of pairs of backends: the difference in reward is learned itself, not only each side of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors.calibration import Curve
from predictors.errors import BundleError
from predictors.features import QueryFeatures
from predictors.hashed import HashedRidge
from predictors.packing import packed, unpacked
from predictors.trees import Trees

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class QueryHeads:
    """The fitted heads; `predict` is one call for all of them."""

    names: tuple[str, ...]
    hashed: HashedRidge = field(compare=False)  # t targets: rewards, then log lengths
    mix: Floats = field(compare=False)  # (heads, t): ridge scores to each head's linear member
    shift: Floats = field(compare=False)  # (heads,)
    base: Floats = field(compare=False)  # (heads,) base rates
    blend: Floats = field(compare=False)  # (heads, 3): base rate, linear, trees
    trees: tuple[Trees | None, ...] = field(compare=False)  # None where the blend gives trees nothing
    curves: tuple[Curve, ...] = field(compare=False)

    def predict(self, features: QueryFeatures) -> tuple[Floats, NDArray[np.float32]]:
        """Every head's value in [0, 1], (heads,), and the row it came from: dense features and scores, (d + t,)."""
        scores = self.hashed.scores(features.buckets)
        row = np.concatenate([features.dense, scores], dtype=np.float32, casting="same_kind")
        linear = np.clip((self.mix * scores).sum(axis=1) + self.shift, 0.0, 1.0)
        raw = self.blend[:, 0] * self.base + self.blend[:, 1] * linear
        values = raw.tolist()
        for place, trees in enumerate(self.trees):
            value = values[place]
            if trees is not None:
                value += self.blend[place, 2] * trees.row(row)
            values[place] = self.curves[place](value)
        return np.array(values), row

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned."""
        plain = {"mix": self.mix, "shift": self.shift, "base": self.base, "blend": self.blend}
        parts: dict[str, Mapping[str, NDArray[Any]]] = {"hashed": self.hashed.arrays(), "heads": plain}
        for place, (trees, curve) in enumerate(zip(self.trees, self.curves, strict=True)):
            parts[f"curve{place}"] = curve.arrays()
            if trees is not None:
                parts[f"trees{place}"] = trees.arrays()
        return packed(parts)

    @classmethod
    def from_arrays(cls, names: tuple[str, ...], arrays: Mapping[str, NDArray[Any]], width: int) -> Self:
        """The inverse of `arrays` for features of `width` numbers; raises `BundleError` for what does not fit."""
        plain = unpacked(arrays, "heads")
        hashed = HashedRidge.from_arrays(unpacked(arrays, "hashed"))
        heads, targets = len(names), len(hashed.mean)
        expected = {"mix": (heads, targets), "shift": (heads,), "base": (heads,), "blend": (heads, 3)}
        for name, shape in expected.items():
            if plain[name].shape != shape:
                raise BundleError(f"query heads: {name} has shape {plain[name].shape}; {shape} is expected")
        trees: list[Trees | None] = []
        for place in range(heads):
            found = unpacked(arrays, f"trees{place}")
            trees.append(Trees.from_arrays(found) if found else None)
            tree = trees[-1]
            if tree is not None and tree.columns != width + targets:
                raise BundleError(
                    f"{names[place]}: trees over {tree.columns} features; {width + targets} are expected"
                )
        curves = tuple(Curve.from_arrays(unpacked(arrays, f"curve{place}")) for place in range(heads))
        return cls(
            names, hashed, plain["mix"], plain["shift"], plain["base"], plain["blend"], tuple(trees), curves
        )
