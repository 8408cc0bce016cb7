"""What another backend would earn, given the answer in hand: the value of going on.

For each pair of a backend that has answered (a) and one that could be asked (b), a linear correction of what was
expected of b: E[b | answer of a] = q_b + w·(1, q_b, p, p - q_a, q_b p) with q what was expected before and p the
confidence in the answer. An answer that looks wrong is often one to a query that is hard for all. To hop or not is then
the last step of a finite-horizon problem with what was spent in its state (HierRouter, Gupta et al. 2025).
When it fails: after two answers of different backends it knows of the latest alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors.errors import BundleError

Floats = NDArray[np.float64]
INPUTS = 5


@dataclass(frozen=True, slots=True)
class HopValues:
    """The correction of every backend after one of them, `first`, has answered."""

    backends: tuple[str, ...]
    first: int  # index into backends
    coef: Floats = field(compare=False)  # (backends, INPUTS); zeros: no correction
    _rows: list[list[float]] = field(init=False, repr=False, compare=False)  # the same as Python's numbers

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rows", self.coef.tolist())

    def going_on(self, quality: Floats, in_hand: Floats) -> Floats:
        """Expected reward of each backend (n, B) in [0, 1], from `quality` (n, B) and the confidence (n,)."""
        found = quality + np.einsum("nbi,bi->nb", hop_inputs(quality, in_hand, self.first), self.coef)
        return np.asarray(np.clip(found, 0.0, 1.0), dtype=np.float64)

    def after_one(self, quality: Sequence[float], in_hand: float) -> list[float]:
        """`going_on` of one query, up to rounding: (B,) from (B,); nan where nothing was expected."""
        surprise = in_hand - quality[self.first]
        found: list[float] = []
        for one, (level, slope, hand, shift, both) in zip(quality, self._rows, strict=True):
            value = one + (level + slope * one + hand * in_hand + shift * surprise + both * one * in_hand)
            found.append(value if value != value else min(1.0, max(0.0, value)))  # noqa: PLR0124 (nan stays)
        return found

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned."""
        return {"coef": self.coef, "first": np.array([self.first])}

    @classmethod
    def from_arrays(cls, backends: tuple[str, ...], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The inverse of `arrays`; raises `BundleError` for what does not fit."""
        coef, first = arrays["coef"], arrays["first"]
        if coef.shape != (len(backends), INPUTS) or first.shape != (1,) or not 0 <= first[0] < len(backends):
            raise BundleError(f"hop values: coef {coef.shape} does not fit {len(backends)} backends")
        return cls(backends, int(first[0]), coef)


def hop_inputs(quality: Floats, in_hand: Floats, first: int) -> Floats:
    """(n, B, INPUTS), in the order of the module's formula."""
    n, width = quality.shape
    hand = np.broadcast_to(in_hand[:, None], (n, width))
    surprise = hand - quality[:, first : first + 1]
    return np.stack([np.ones((n, width)), quality, hand, surprise, quality * hand], axis=2)
