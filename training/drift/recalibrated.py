"""A bundle whose expectations mean again what they say, without learning anything anew.

Its expectation of a plan (or of a backend alone) is mapped by the curve that fits what was earned: every knot of the
old calibration curve is moved. Ranks within a plan stay. When it fails: where a backend changed for some queries and
not for others, ranks are wrong, and only a new fit can know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from predictors.bundle import Bundle
from predictors.calibration import Curve, fit_curve
from predictors.plan_heads import PlanHeads
from training.fit.heads import versioned

Floats = NDArray[np.float64]
FEWEST = 50  # labelled rows of a head; with fewer it stays as it is
_GRID = np.linspace(0.0, 1.0, 65)
_FOLDS = 5


def recalibrated(
    bundle: Bundle,
    by_backend: Mapping[str, tuple[Floats, Floats]],
    by_plan: Mapping[str, tuple[Floats, Floats]],
) -> Bundle:
    """Another version of `bundle`; name -> (expected, earned) of its rows, (m,) each, of plans of one sample for
    backends.
    """
    heads = bundle.query_heads
    curves = list(heads.curves)
    for place, backend in enumerate(bundle.card.backends):
        curves[place] = _after(curves[place], by_backend.get(backend))
    plan_heads = bundle.plan_heads
    if plan_heads is not None:
        moved = tuple(
            _after(curve, by_plan.get(plan))
            for plan, curve in zip(plan_heads.plans, plan_heads.curves, strict=True)
        )
        plan_heads = PlanHeads(
            plan_heads.plans, plan_heads.samples, plan_heads.mean, plan_heads.scale, plan_heads.coef,
            plan_heads.most, moved,
        )  # fmt: skip
    return versioned(replace(bundle, query_heads=replace(heads, curves=tuple(curves)), plan_heads=plan_heads))


def _after(curve: Curve, seen: tuple[Floats, Floats] | None) -> Curve:
    """`curve`, then the curve from what it said to what was earned."""
    if seen is None or len(seen[0]) < FEWEST:
        return curve
    expected, earned = seen
    folds = np.arange(len(expected), dtype=np.int64) % _FOLDS
    mend = fit_curve(expected, earned, np.ones(len(expected)), folds)
    scores = np.unique(np.concatenate([curve.scores, _GRID]))
    values = np.maximum.accumulate(np.clip(mend(curve(scores)), 0.0, 1.0))
    return Curve(scores, values)
