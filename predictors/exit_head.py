"""What to expect of a growing trace: is its answer right, would it get better, how long is it still?

From the features of its looks (`predictors.exit_features`): P(the tentative answer is right), P(it is wrong and the
end's right: the harm of stopping) and P(it is right and the end's wrong: the good of stopping), whose difference is
what going on is expected to gain. Each is a logistic regression; the harm, on which every promise stands, is its mean,
in logits, with boosted trees of drawn thresholds (extremely randomised trees, Geurts et al. 2006). And a ridge
regression of log(1 + tokens left), its mean made right by smearing (Duan 1983). Reward and length are told from the
same looks (the joint estimate of ZIP-RC, 2025, without its extra tokens). Traces cut by a limit have no end and are
not learned from; lengths of the others are weighted by the Kaplan-Meier estimate of not having been cut
(`predictors.length_fit.uncensored_weights`). When it fails: few traces, and traces of another kind of model, whose
confidence means something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from predictors.errors import BundleError
from predictors.linear import Linear
from predictors.packing import packed, unpacked
from predictors.trees import Trees

Floats = NDArray[np.float64]
RIGHT = 0.5  # a graded reward of this or more counts as right
ENOUGH = 20  # looks
_PENALTY = 3.0  # rows
_PARTS = ("right", "harm", "good")
_FLOOR = 1e-8  # both of two probabilities may be 0, or 1
_CUT = 8.0  # standard deviations
Numbers = TypeVar("Numbers", float, Floats)


class Expected(NamedTuple):
    """Of m looks."""

    safe: Floats  # (m,) P(stopping here loses nothing)
    right: Floats  # (m,) P(the tentative answer is right)
    gain: Floats  # (m,) E[reward at the end - reward now]
    left: Floats  # (m,) expected further tokens to the end, >= 0


@dataclass(frozen=True, slots=True)
class ExitHead:
    """The fitted head."""

    right: Linear
    harm: Linear
    good: Linear
    length: Floats = field(compare=False)  # (d + 1,) of standardised features, last: intercept
    factor: float = 1.0  # smearing
    longest: float = 1.0  # tokens of the longest trace that was seen
    trees: Trees | None = field(default=None, compare=False)  # of harm; None: no harm seen, or an old bundle

    @property
    def width(self) -> int:
        """How many features a row has."""
        return len(self.length) - 1

    def expect(self, rows: NDArray[np.float32], tokens: Floats) -> Expected:
        """Of looks with features (m, d) after so many tokens (m,)."""
        harm, good = self.harm.predict(rows), self.good.predict(rows)
        if self.trees is not None:
            harm = _between(harm, self.trees.predict(rows))
        z = _standardised(self.right, rows)
        logs = (z * self.length[:-1]).sum(axis=1) + self.length[-1]
        left = np.exp(np.minimum(logs, 20.0)) * self.factor - 1
        bounded = np.clip(left, 0.0, np.maximum(self.longest - tokens, 1.0))
        return Expected(1 - harm, self.right.predict(rows), harm - good, bounded)

    def at(self, row: NDArray[np.float32], tokens: float) -> tuple[float, float, float, float]:
        """`expect` for one look, (d,): the same numbers, in a third of the time."""
        harm, good = self.harm.row(row), self.good.row(row)
        if self.trees is not None:
            harm = _between(harm, self.trees.row(row))
        z = (row - self.right.mean) * self.right.scale
        np.minimum(z, _CUT, out=z)
        np.maximum(z, -_CUT, out=z)
        z *= self.length[:-1]
        left = exp(min(float(np.add.reduce(z) + self.length[-1]), 20.0)) * self.factor - 1
        bounded = min(max(left, 0.0), max(self.longest - tokens, 1.0))
        return 1 - harm, self.right.row(row), harm - good, bounded

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned."""
        found = {
            f"{name}_{key}": value for name in _PARTS for key, value in getattr(self, name).arrays().items()
        }
        if self.trees is not None:
            found |= packed({"harm_trees": self.trees.arrays()})
        return found | {"length": self.length, "numbers": np.array([self.factor, self.longest])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The inverse of `arrays`; raises `BundleError` for what does not fit."""
        parts = {
            name: Linear.from_arrays(
                {
                    key: arrays[f"{name}_{key}"]
                    for key in ("mean", "scale", "coef")
                    if f"{name}_{key}" in arrays
                }
            )
            for name in _PARTS
        }
        length, numbers = arrays.get("length"), arrays.get("numbers")
        if (
            length is None
            or numbers is None
            or numbers.shape != (2,)
            or length.shape != parts["right"].coef.shape
        ):
            raise BundleError(f"exit head: length and numbers do not fit, got {sorted(arrays)}")
        grown = unpacked(arrays, "harm_trees")
        trees = Trees.from_arrays(grown) if grown else None
        if trees is not None and trees.columns != len(length) - 1:
            raise BundleError(
                f"exit head: its trees were fitted on {trees.columns} features, not {len(length) - 1}"
            )
        return cls(
            **parts,
            length=np.asarray(length, np.float64),
            factor=float(numbers[0]),
            longest=float(numbers[1]),
            trees=trees,
        )


def fit_exit_head(
    rows: NDArray[np.float32],
    now: Floats,
    end: Floats,
    tokens: Floats,
    length: Floats,
    weight: Floats,
    stands: Floats,
) -> ExitHead | None:
    """Fit on m looks: features (m, d), reward of stopping there and at the end, tokens there and at the end, weights.

    `weight` says how much a look counts (a trace's looks are no independent rows), `stands` for how many traces its
    length does, with those that were cut. None for less than `ENOUGH` looks.
    """
    if len(rows) < ENOUGH:
        return None
    right_now, right_end = now >= RIGHT, end >= RIGHT
    scaled = weight / weight.mean()
    targets: dict[str, Floats] = {
        "right": np.clip(now, 0.0, 1.0),
        "harm": (right_end & ~right_now).astype(np.float64),
        "good": (right_now & ~right_end).astype(np.float64),
    }
    parts = {name: Linear(_PENALTY).fit(rows, target, scaled, 0) for name, target in targets.items()}
    trees = None
    if float(np.ptp(targets["harm"])) > 0:  # else there is nothing to tell apart
        trees = _trees().fit(rows, targets["harm"], scaled, 0)
    z = np.column_stack([_standardised(parts["right"], rows), np.ones(len(rows))])
    logs = np.log1p(np.maximum(length - tokens, 0.0))
    penalty = _PENALTY * np.diag(np.append(np.ones(z.shape[1] - 1), 1e-6))
    scaled = weight * stands / (weight * stands).mean()
    coef = np.linalg.solve((z * scaled[:, None]).T @ z + penalty, z.T @ (scaled * logs))
    told = np.exp(np.minimum(z @ coef, 20.0))
    factor = float(np.average(np.exp(logs), weights=scaled) / np.average(told, weights=scaled))
    return ExitHead(**parts, length=coef, factor=factor, longest=float(length.max()), trees=trees)


def _trees() -> Trees:
    """Few and small: there are a few hundred traces, whose looks are much alike."""
    return Trees(40, leaves=8, rate=0.15, rows_per_leaf=10, features=0.7, random_cuts=True)


def _between(one: Numbers, other: Numbers) -> Numbers:
    """The mean of two probabilities (arrays or numbers), in logits."""
    yes, no = one * other, (1 - one) * (1 - other)
    mean: Numbers = 1 / (1 + ((no + _FLOOR) / (yes + _FLOOR)) ** 0.5)
    return mean


def _standardised(like: Linear, rows: NDArray[np.float32]) -> Floats:
    return np.clip((rows - like.mean) * like.scale, -_CUT, _CUT)
