"""P(right) from a hidden state of the model: standardised, logistic regression on all of it, and its main directions.

A linear probe reads from the state whether the model knows (Kadavath et al. 2022; Azaria & Mitchell 2023). What tells
is spread over many directions of little variance: on 64 main ones the regression ranks worse than on all numbers with a
penalty that grows with their count (so that a margin has a variance of `doubt` before anything was seen). The main
directions (randomised subspace iteration, Halko, Martinsson & Tropp 2011) are for readers that want few numbers.
When it fails: states of another model or layer (the width may even agree), and few rows, where the ends of a text's
form tell as much.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors.errors import BundleError, FitError
from predictors.linear import Linear

Floats = NDArray[np.float64]
_SPARE, _TURNS = 8, 4  # further directions while iterating; iterations
_MOST_ROWS = 8_000  # for the directions, evenly spaced
_MOST_NUMBERS = 64_000_000  # for the regression: of wider states fewer rows, evenly spaced
CUT = 6.0  # standard deviations


@dataclass(slots=True)
class HiddenProbe:
    """A predictor over states (n, width); `directions` is how many components are kept at most."""

    directions: int = 64
    doubt: float = 2.0  # prior variance of the regression's margin: its L2 penalty is width / doubt, in rows
    # (width,)
    mean: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32), compare=False)
    # (width,)
    scale: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32), compare=False)
    basis: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32), compare=False)
    linear: Linear = field(default_factory=Linear, compare=False)
    whole: bool = True  # the regression reads the whole state; else (a bundle of before) the main directions

    def fit(self, x: NDArray[np.float32], y: Floats, weight: Floats, seed: int) -> Self:
        """`x` (n, width); a value that is not finite counts as the mean. Raises `FitError` for fewer than 2 rows."""
        if x.ndim != 2 or x.shape[1] == 0 or len(x) < 2:
            raise FitError(f"hidden probe: states of shape {x.shape}; (n >= 2, width >= 1) is needed")
        self.mean, self.scale = moments(x)
        z = self._standardised(x)
        rows = z[:: max(1, -(-len(z) // _MOST_ROWS))]
        self.basis = main_directions(rows, min(self.directions, len(rows) - 1, x.shape[1]), seed)
        step = thinned(z.size)
        z, y, weight = z[::step], y[::step], weight[::step]
        penalty = z.shape[1] / self.doubt * float(weight.mean())
        self.linear = Linear(penalty=penalty).fit(z, y, weight, seed)
        return self

    def predict(self, x: NDArray[np.float32]) -> Floats:
        """P(right) of each state, (n,)."""
        if x.ndim != 2 or x.shape[1] != len(self.mean):
            raise ValueError(f"states have shape {x.shape}; the probe was fitted on (n, {len(self.mean)})")
        return self.linear.predict(self._standardised(x) if self.whole else self.inside(x))

    def inside(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """The states (n, width) along the main directions, (n, directions)."""
        return self._standardised(x) @ self.basis

    def _standardised(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        return standardised(x, self.mean, self.scale)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned."""
        plain = {"mean": self.mean, "scale": self.scale, "basis": self.basis}
        name = "whole" if self.whole else "linear"
        return plain | {f"{name}_{key}": array for key, array in self.linear.arrays().items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The inverse of `arrays`; raises `BundleError` for what does not fit."""
        try:
            mean, scale, basis = (np.asarray(arrays[name], np.float32) for name in ("mean", "scale", "basis"))
        except (KeyError, ValueError, TypeError) as error:
            raise BundleError(
                f"hidden probe: mean, scale and basis are needed, got {sorted(arrays)}"
            ) from error
        whole = "whole_mean" in arrays
        prefix = "whole_" if whole else "linear_"
        linear = Linear.from_arrays(
            {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        )
        fits = mean.ndim == 1 and mean.shape == scale.shape and basis.ndim == 2 and len(basis) == len(mean)
        if not fits or len(linear.mean) != basis.shape[0 if whole else 1]:
            raise BundleError(
                f"hidden probe: {mean.shape}, {scale.shape}, {basis.shape}, {linear.mean.shape} do not fit together"
            )
        return cls(mean=mean, scale=scale, basis=basis, linear=linear, whole=whole)


def moments(x: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and 1 / standard deviation of every number of states (n, width); 0 for one that does not vary."""
    x = np.where(np.isfinite(x), x, np.nan).astype(np.float32)
    known = np.isfinite(x)
    count = np.maximum(known.sum(axis=0), 1)
    filled = np.where(known, x, 0.0)
    mean = (filled.sum(axis=0, dtype=np.float64) / count).astype(np.float32)
    spread = np.sqrt((np.where(known, x - mean, 0.0) ** 2).sum(axis=0, dtype=np.float64) / count)
    scale = np.where(spread > 1e-6, 1 / np.maximum(spread, 1e-6), 0.0).astype(np.float32)
    return mean, scale


def standardised(
    x: NDArray[Any], mean: NDArray[np.float32], scale: NDArray[np.float32]
) -> NDArray[np.float32]:
    """States (n, width) in standard deviations, cut at 6; what is not finite counts as the mean."""
    with np.errstate(invalid="ignore"):  # infinity times a scale of 0: float16 ends at 65,504
        z = (x.astype(np.float32) - mean) * scale
    return np.asarray(np.clip(np.where(np.isfinite(z), z, 0.0), -CUT, CUT), dtype=np.float32)


def thinned(numbers: int) -> int:
    """Every how many rows of states with so many numbers in all are fitted on."""
    return max(1, -(-numbers // _MOST_NUMBERS))


def main_directions(z: NDArray[np.float32], count: int, seed: int) -> NDArray[np.float32]:
    """An orthonormal basis (width, count) of about the space where `z` (n, width) varies most."""
    rng = np.random.default_rng(seed)
    width = min(count + _SPARE, z.shape[1])
    basis = np.linalg.qr(rng.standard_normal((z.shape[1], width)).astype(np.float32))[0]
    for _ in range(_TURNS):
        basis = np.linalg.qr(z.T @ (z @ basis))[0]
    _, _, turned = np.linalg.svd(z @ basis, full_matrices=False)
    return np.ascontiguousarray((basis @ turned.T)[:, :count])
