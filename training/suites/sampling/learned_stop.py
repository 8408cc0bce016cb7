"""`learned_stop`: the fitted rule where it passes its guard on the tuning half, else what `apportion` offers."""

from __future__ import annotations

from collections.abc import Callable

from training.fit.learned_stop import guarded, states
from training.sampling.candidates import Candidates
from training.sampling.known import Known
from training.sampling.split import Split
from training.suites.sampling.apportion import apportion

POINTS = 0.5  # that the guard compares at


def learned_stop(known: Known) -> Callable[[Split], Candidates | None]:
    """The guard sees the tuning half alone."""
    theirs, table = apportion(known), states(known.runs)

    def offers(split: Split) -> Candidates | None:
        expected, others = known.learn(split), theirs(split)
        if expected is None or others is None:
            return None
        return guarded(known.runs, table, expected.right, others, split.tuning, POINTS).candidates

    return offers
