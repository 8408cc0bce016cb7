"""What a query alone tells: calibrated heads over one shared table of n-grams and one row of numbers.

The ridge scores of a text are, per backend, its expected reward and log(1 + output tokens). A head blends up to four
members: its base rate, a linear combination of scores, and boosted trees and a ridge over dense features, scores and
the text's coordinates among those of the fit; then comes a calibration curve. With many backends the trees are shared.
Heads are P(right) of each backend and (gain + 1) / 2 of pairs of backends: the difference in reward is learned
itself, not only each side of it, and corrected by how high both sides are where that pays. Shared trees see all sides
at once: then there are no gain heads.
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
from predictors.gain_levels import GainLevels
from predictors.hashed import HashedRidge
from predictors.joint_trees import JointTrees
from predictors.packing import packed, unpacked
from predictors.row_ridge import RowRidge
from predictors.text_space import WIDTH, TextSpace
from predictors.tree_library import address
from predictors.trees import Trees

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class QueryHeads:
    """The fitted heads; `predict` is one call for all of them."""

    names: tuple[str, ...]
    hashed: HashedRidge = field(compare=False)  # t targets: rewards, then log lengths
    space: TextSpace = field(compare=False)
    mix: Floats = field(compare=False)  # (heads, t): ridge scores to each head's linear member
    shift: Floats = field(compare=False)  # (heads,)
    base: Floats = field(compare=False)  # (heads,) base rates
    blend: Floats = field(compare=False)  # (heads, 4): base rate, linear, trees, ridge over numbers
    # None: the blend gives them nothing, or they are shared
    trees: tuple[Trees | None, ...] = field(compare=False)
    curves: tuple[Curve, ...] = field(compare=False)
    joint: JointTrees | None = field(default=None, compare=False)  # of the first B heads, and of the lengths
    numbers: RowRidge | None = field(default=None, compare=False)  # None: no blend gives it anything
    levels: GainLevels | None = field(default=None, compare=False)  # None: gain heads are as they were fitted
    _tree_shares: list[float] = field(init=False, repr=False, compare=False)  # blend[:, 2]

    def __post_init__(self) -> None:
        object.__setattr__(self, "_tree_shares", self.blend[:, 2].tolist())

    def predict(self, features: QueryFeatures) -> tuple[Floats, NDArray[np.float32]]:
        """Every head's value in [0, 1], (heads,), and the row (r,) that later parts read.

        The row: dense features, ridge scores, coordinates; with shared trees also their log lengths, (B,).
        """
        scores = self.hashed.scores(features.buckets)
        place = self.space.of(features.buckets)
        pieces: list[NDArray[Any]] = [features.dense, scores, place]
        linear = np.add.reduce(self.mix * scores, axis=1) + self.shift
        linear = np.minimum(np.maximum(linear, 0.0), 1.0)
        raw = self.blend[:, 0] * self.base + self.blend[:, 1] * linear
        if self.joint is not None:
            shared, lengths = self.joint.predict(scores, features.dense, place)
            raw += self.blend[:, 2] * shared
            pieces.append(lengths)
        row = np.concatenate(pieces, dtype=np.float32, casting="same_kind")
        if self.numbers is not None:
            raw += self.blend[:, 3] * self.numbers.of(row)
        values, at, shares = raw.tolist(), address(row), self._tree_shares
        for number, trees in enumerate(self.trees):
            value = values[number]
            if trees is not None:  # each reads as many of the row's first numbers as it was fitted on
                value += shares[number] * trees.row_at(at)
            values[number] = self.curves[number].at(value)
        if self.levels is not None:
            values[len(values) - len(self.levels.pairs) :] = self.levels.of(values)
        return np.array(values), row

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned."""
        plain = {"mix": self.mix, "shift": self.shift, "base": self.base, "blend": self.blend}
        parts: dict[str, Mapping[str, NDArray[Any]]] = {
            "hashed": self.hashed.arrays(),
            "space": self.space.arrays(),
            "heads": plain,
        }
        if self.joint is not None:
            parts["joint"] = self.joint.arrays()
        if self.numbers is not None:
            parts["numbers"] = self.numbers.arrays()
        if self.levels is not None:
            parts["levels"] = self.levels.arrays()
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
        if plain["blend"].shape == (heads, 3):  # of a bundle from before there was a ridge over numbers
            plain["blend"] = np.hstack([plain["blend"], np.zeros((heads, 1))])
        expected = {"mix": (heads, targets), "shift": (heads,), "base": (heads,), "blend": (heads, 4)}
        for name, shape in expected.items():
            if plain[name].shape != shape:
                raise BundleError(f"query heads: {name} has shape {plain[name].shape}; {shape} is expected")
        space = TextSpace.from_arrays(unpacked(arrays, "space"))
        if len(space.place) != len(hashed.table):
            raise BundleError(f"text space: {len(space.place)} buckets; {len(hashed.table)} are expected")
        shared = unpacked(arrays, "joint")
        joint = JointTrees.from_arrays(shared, targets // 2, width + WIDTH) if shared else None
        if joint is not None and heads != targets // 2:
            raise BundleError(f"query heads: trees shared by {targets // 2} backends for {heads} heads")
        sums = unpacked(arrays, "numbers")
        numbers = RowRidge.from_arrays(sums, heads, width + targets + WIDTH) if sums else None
        if numbers is None and plain["blend"][:, 3].any():
            raise BundleError("query heads: the blend weighs a ridge over numbers that is not there")
        corrected, backends = unpacked(arrays, "levels"), targets // 2
        levels = GainLevels.from_arrays(corrected, backends, heads - backends) if corrected else None
        trees: list[Trees | None] = []
        for place in range(heads):
            found = unpacked(arrays, f"trees{place}")
            trees.append(Trees.from_arrays(found) if found else None)
            tree = trees[-1]
            if tree is not None and tree.columns not in (width + targets, width + targets + WIDTH):
                raise BundleError(
                    f"{names[place]}: trees over {tree.columns} features; {width + targets} are expected, "
                    f"and {WIDTH} more where the text's coordinates help"
                )
        curves = tuple(Curve.from_arrays(unpacked(arrays, f"curve{place}")) for place in range(heads))
        return cls(
            names, hashed, space, plain["mix"], plain["shift"], plain["base"], plain["blend"], tuple(trees),
            curves, joint, numbers, levels,
        )  # fmt: skip


def row_width(features: int, backends: int, *, shared: bool) -> int:
    """Numbers of the row that `QueryHeads.predict` gives; `shared`: with trees that backends share."""
    return features + 2 * backends + WIDTH + (backends if shared else 0)
