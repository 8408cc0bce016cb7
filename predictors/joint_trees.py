"""One model for many backends: boosted trees over rows of (query, backend).

Backends fail on the same queries; trees that see all of their outcomes learn what is hard once, and where a backend is
the exception, rather than ten times from a tenth of the labels (as multi-task trees do, Chapelle et al. 2011). Two
models over the same rows: E[reward], and output tokens as log(1 + tokens) over its largest value. A row holds the
backend's mean reward and number; reward and log length as the ridge has them and as similar queries had them, of the
backend and in the mean over all; and the query's own numbers.
When it fails: backends that have nothing in common, and two backends, where a head each sees as much.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors.errors import BundleError
from predictors.neighbours import Neighbours
from predictors.packing import packed, unpacked
from predictors.text_space import WIDTH
from predictors.trees import Trees

Floats = NDArray[np.float64]
_OWN = 10  # numbers of a row that depend on the backend or on all scores


@dataclass(frozen=True, slots=True)
class JointTrees:
    """The two fitted models for B backends."""

    rates: Floats = field(compare=False)  # (B,) mean rewards
    longest: float  # log(1 + tokens) that stands for 1
    rewards: Trees = field(compare=False)
    lengths: Trees = field(compare=False)
    near: Neighbours = field(compare=False)  # values: rewards, then log(1 + tokens), (2 B,)

    def predict(
        self, scores: Floats, features: NDArray[np.float32], place: NDArray[np.float32]
    ) -> tuple[Floats, Floats]:
        """Expected reward (B,) and log(1 + tokens) (B,).

        From ridge scores (2 B,), the query's features (d,) and its coordinates (w,).
        """
        numbers = np.concatenate([features, place])
        rows = joint_rows(self.rates, scores[None], self.near.of(place)[None], numbers[None])
        rewards = np.array([self.rewards.row(row) for row in rows])
        return rewards, self.longest * np.array([self.lengths.row(row) for row in rows])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned."""
        plain = {"rates": self.rates, "longest": np.array([self.longest])}
        return packed(
            {
                "plain": plain,
                "rewards": self.rewards.arrays(),
                "lengths": self.lengths.arrays(),
                "near": self.near.arrays(),
            }
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], backends: int, width: int) -> Self:
        """The inverse of `arrays` for numbers of `width`; raises `BundleError` for what does not fit."""
        plain = unpacked(arrays, "plain")
        rewards = Trees.from_arrays(unpacked(arrays, "rewards"))
        lengths = Trees.from_arrays(unpacked(arrays, "lengths"))
        near = Neighbours.from_arrays(unpacked(arrays, "near"))
        if near.places.shape[1] != WIDTH or len(near.mean) != 2 * backends:
            raise BundleError(
                f"joint trees: neighbours have {len(near.mean)} values; {2 * backends} are expected"
            )
        if plain["rates"].shape != (backends,) or plain["longest"].shape != (1,):
            raise BundleError(f"joint trees: {plain['rates'].shape} rates for {backends} backends")
        if {rewards.columns, lengths.columns} != {_OWN + width}:
            raise BundleError(f"joint trees over {rewards.columns} numbers; {_OWN + width} are expected")
        return cls(plain["rates"], float(plain["longest"][0]), rewards, lengths, near)


def joint_rows(
    rates: Floats, scores: Floats, near: Floats, numbers: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Rows (n B, 10 + d), a query's backends one after another; `scores`, `near` (n, 2 B), `numbers` (n, d)."""
    count, backends = len(scores), len(rates)
    rows = np.empty((count, backends, _OWN + numbers.shape[1]), dtype=np.float32)
    rows[:, :, 0] = rates
    rows[:, :, 1] = np.arange(backends)
    column = 2
    for values in (scores, near):
        for half in (values[:, :backends], values[:, backends:]):
            rows[:, :, column] = half
            rows[:, :, column + 1] = half.mean(axis=1)[:, None]
            column += 2
    rows[:, :, _OWN:] = numbers[:, None, :]
    return rows.reshape(count * backends, -1)
