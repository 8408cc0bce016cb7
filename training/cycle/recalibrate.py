"""The bundle that serves, recalibrated on what the log says of its own expectations: a candidate without a fit."""

from __future__ import annotations

import numpy as np

from predictors.bundle import Bundle
from training.cycle.drift import expected_rewards
from training.cycle.rows import CycleRows
from training.drift.recalibrated import recalibrated


def recalibrate(rows: CycleRows, bundle: Bundle) -> Bundle:
    """From decisions of this bundle that may be fitted on. Equal to `bundle` where they say too little of any plan."""
    expected = expected_rewards(rows)
    own = np.array(rows.log.texts("bundle"), dtype=object) == bundle.version
    known = rows.fitted & own & np.isfinite(expected)
    plans = np.array(rows.log.texts("plan"), dtype=object)
    by_plan = {
        str(name): (expected[known & (plans == name)], rows.reward[known & (plans == name)])
        for name in np.unique(plans[known])
    }
    names, first = rows.log.first_backends()
    once = rows.log.counts("samples") == 1
    alone = {}
    # then what is expected of a plan of one sample is what is expected of its backend
    if bundle.plan_heads is None:
        for name in bundle.card.backends:
            mine = known & once & (first == (names.index(name) if name in names else -2))
            alone[name] = expected[mine], rows.reward[mine]
    return recalibrated(bundle, alone, by_plan)
