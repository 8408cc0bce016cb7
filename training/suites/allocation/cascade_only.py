"""`cascade_only`: one cascade for all queries; only what came back decides (FrugalGPT, Chen et al. 2023)."""

from __future__ import annotations

from collections.abc import Mapping

from training.suites.allocation.best_fixed_plan import fixed_plans
from training.suites.allocation.decided import Decided
from training.suites.allocation.known import Known
from training.suites.allocation.operating_points import corners, with_ends


def cascade_only(known: Known) -> Mapping[str, Decided]:
    """The best at each cost on the training queries, of all pairs, thresholds and agreements."""
    cascades = [at for at, shape in enumerate(known.shapes) if len(shape.legs) > 1]
    if not cascades:
        return {}
    return {"cascade_only": with_ends(known, corners(known, [fixed_plans(known, cascades)]))}
