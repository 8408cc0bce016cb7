"""`match_probability`: BEST-Route's rule (Ding et al. 2025), as a baseline.

Arms are votes of n samples of every backend. For each arm P(its answer is at least as good as the best backend's) is
predicted; the cheapest arm that reaches a threshold is taken, else the best backend.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from training.suites.allocation.decided import Decided
from training.suites.allocation.known import Known
from training.suites.allocation.operating_points import Candidate, Family, spaced, with_ends
from training.suites.allocation.plan_values import corrected, plan_inputs

THRESHOLDS = 200


def match_probability(known: Known) -> Mapping[str, Decided]:
    """One operating point per threshold."""
    best = known.fold.best
    arms = np.array([at for at, shape in enumerate(known.shapes) if len(shape.legs) == 1])
    matched = (known.rewards[:, :, arms] >= known.rewards[:, :, best : best + 1]).mean(axis=0)
    inputs = plan_inputs(known.quality, known.cost)
    p = np.clip(corrected(inputs, matched, known.fold), 0.0, 1.0)
    p[:, arms == best] = 1.0
    cost = known.plan_cost[:, arms]
    settings = []
    for threshold in np.quantile(p[known.train], np.linspace(0, 1, THRESHOLDS)):
        taken = np.argmin(np.where(p >= min(threshold, 1.0), cost, np.inf), axis=1)
        settings.append(
            Candidate(f"match={threshold:.4f}", taken.astype(np.int16), arms[taken].astype(np.int16))
        )
    family = Family(tuple(known.shapes[at].name for at in arms), tuple(settings))
    return {"match_probability": with_ends(known, spaced(known, [family]))}
