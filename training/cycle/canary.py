"""How a canary does against the bundle that decides for the rest, by the rewards that came since it began."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.cycle.rows import CycleRows
from training.off_policy.canary import Advice, CanaryState, CanaryTest


def look_at_canary(rows: CycleRows, canary: str, active: str, share: float) -> tuple[Advice, dict[str, Any]]:
    """What to do, and what it rests on. Rewards are taken in the order in which the first outcome about each came."""
    log = rows.log
    bundle = np.array(log.texts("bundle"), dtype=object)
    tried = bundle == canary
    known = np.isfinite(rows.reward) & log.flags("usable") & (tried | (bundle == active))
    first = np.full(len(log), np.iinfo(np.int64).max)
    np.minimum.at(first, log.pair_decision, log.pair_outcome)
    test, seen = CanaryTest(share=min(share, 0.99)), CanaryState()
    for row in np.argsort(first, kind="stable"):
        if known[row]:
            seen = test.watch(seen, bool(tried[row]), float(rows.reward[row]))
    advice = test.advice(seen)
    why = f"reward {test.difference(seen):+.4f} after {seen.candidate_rows} of {seen.rows} labelled decisions"
    return advice, {"why": f"{advice.value}: {why}", "rows": seen.rows, "canary_rows": seen.candidate_rows}
