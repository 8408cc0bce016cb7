"""`best_fixed_plan`: one plan for all queries, the best at its cost on the training queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from training.suites.allocation.decided import Decided
from training.suites.allocation.known import Known
from training.suites.allocation.operating_points import Candidate, Family, corners, with_ends


def best_fixed_plan(known: Known) -> Mapping[str, Decided]:
    """Of all plans."""
    family = fixed_plans(known, range(len(known.shapes)))
    return {"best_fixed_plan": with_ends(known, corners(known, [family]))}


def fixed_plans(known: Known, plans: Sequence[int]) -> Family:
    """Each of the plans for every query."""
    n = len(known.quality)
    settings = tuple(
        Candidate(known.shapes[place].name, np.full(n, turn, np.int16), np.full(n, place, np.int16))
        for turn, place in enumerate(plans)
    )
    return Family(tuple(known.shapes[place].name for place in plans), settings)
