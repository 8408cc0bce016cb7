"""What a whole plan would give: its expected reward, and the samples that each of its stages would draw.

Ridge regression on what the query heads said (P(right), P(two right), gains and their logits) and the dense features,
one column per quantity, fitted on plans replayed over recorded outcomes; rewards are then blended with the plan's mean
and calibrated. When it fails: a plan whose rules changed is another plan (its digest says so) and has no head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors.calibration import Curve
from predictors.errors import BundleError
from predictors.packing import packed, unpacked
from predictors.scaled_products import scaled_products

Floats = NDArray[np.float64]
_CUT = 5.0  # standard deviations


@dataclass(frozen=True, slots=True)
class PlanHeads:
    """The fitted heads of all plans; column k is the reward of plan k, then come the stages' samples."""

    plans: tuple[str, ...]
    samples: tuple[str, ...]  # signal names: plan_samples/P/I
    mean: Floats = field(compare=False)  # (z,) of inputs
    scale: Floats = field(compare=False)  # (z,)
    coef: Floats = field(compare=False)  # (z + 1, plans + samples), last row: intercept
    most: Floats = field(compare=False)  # (samples,) most seen
    curves: tuple[Curve, ...] = field(compare=False)  # of the rewards
    _named: tuple[str, ...] = field(init=False, repr=False, compare=False)  # signals of the rewards

    def __post_init__(self) -> None:
        object.__setattr__(self, "_named", tuple(f"plan_quality/{plan}" for plan in self.plans))

    def predict(self, inputs: Floats) -> dict[str, float]:
        """plan_quality/P in [0, 1] and plan_samples/P/I >= 0 for one row of `plan_inputs`."""
        values = scaled_products(inputs, self.mean, self.scale, _CUT, self.coef)
        count = len(self.plans)
        found = {
            name: curve.at(min(1.0, max(0.0, reward)))
            for name, reward, curve in zip(self._named, values[:count].tolist(), self.curves, strict=True)
        }
        samples = np.minimum(np.maximum(values[count:], 0.0), self.most)
        found.update(zip(self.samples, samples.tolist(), strict=True))
        return found

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned."""
        plain = {"mean": self.mean, "scale": self.scale, "coef": self.coef, "most": self.most}
        curves = {f"curve{place}": curve.arrays() for place, curve in enumerate(self.curves)}
        return packed({"plans": plain, **curves})

    @classmethod
    def from_arrays(
        cls, plans: tuple[str, ...], samples: tuple[str, ...], arrays: Mapping[str, NDArray[Any]], width: int
    ) -> Self:
        """The inverse of `arrays` for `width` inputs; raises `BundleError` for what does not fit."""
        plain = unpacked(arrays, "plans")
        expected = {
            "mean": (width,),
            "scale": (width,),
            "coef": (width + 1, len(plans) + len(samples)),
            "most": (len(samples),),
        }
        for name, shape in expected.items():
            if plain[name].shape != shape:
                raise BundleError(f"plan heads: {name} has shape {plain[name].shape}; {shape} is expected")
        curves = tuple(Curve.from_arrays(unpacked(arrays, f"curve{place}")) for place in range(len(plans)))
        return cls(plans, samples, plain["mean"], plain["scale"], plain["coef"], plain["most"], curves)


def plan_inputs(heads: Floats, two_right: Floats, row: NDArray[np.float32]) -> Floats:
    """One row of inputs, shape (z,): head values in [0, 1], their logits, P(two right), features and scores."""
    inside = np.minimum(np.maximum(heads, 0.01), 0.99)
    return np.concatenate([heads, np.log(inside / (1 - inside)), two_right, row])
