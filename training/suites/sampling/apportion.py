"""`value_of_next` by votes alone, and `apportion`: the same rule with what the predictors say of queries and samples.

What a sample costs is set on the tuning half, like every other rule's parameter, and with it how far the expectations
are believed: slope and shift of their log-odds. Choosing among many settings favours lucky ones, so both choose with
care (`Candidates.careful`). At the default nothing is tuned: the rule's own numbers. Where samples say something for
themselves beyond the votes, they are weighed (`training.sampling.weighed`), and the cost alone is tuned.

A plan's stop may be any rule. Where a simple one draws fewer samples, because there is little to be told apart or too
few queries to choose with care among many settings, `apportion` tunes that one (`Candidates.taken`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from router.stopping.value_of_next import LOGIT_STEP, RHO_STEP
from training.sampling.by_expectation import TUNED, UNTUNED, USUAL, by_expectation, candidates_at
from training.sampling.candidates import Candidates
from training.sampling.known import Known
from training.sampling.split import Split
from training.sampling.worth import ODDS

SIMPLE = ("fixed", "beta", "window", "dirichlet", "majority_certificate")


def value_of_next(known: Known) -> Callable[[Split], Candidates]:
    """One P(right) for all queries, tuned with the cost."""
    runs = known.runs
    ways = np.arange(1, len(ODDS) - 1, 2)
    places = np.repeat(ways[:, None], runs.shape[1], axis=1)
    usual = np.full(runs.shape[1], ODDS.index(0)), np.full(runs.shape[1], round(USUAL.alike / RHO_STEP) - 1)
    found = candidates_at(
        runs, known.worth(TUNED), places, [f"odds {ODDS[way] * LOGIT_STEP:g}" for way in ways],
        known.worth(UNTUNED), *usual,
    )  # fmt: skip
    return lambda split: found


def apportion(known: Known) -> Callable[[Split], Candidates | None]:
    """Each query's own P(right); beside simple rules."""
    own = by_expectation(known)

    def offers(split: Split) -> Candidates | None:
        found = own(split)
        if found is None:
            return None
        rivals = [known.prepared(name)(split) for name in SIMPLE]
        return replace(
            found,
            rivals=tuple(
                replace(one, labels=tuple(f"{name} {label}" for label in one.labels))
                for name, one in zip(SIMPLE, rivals, strict=True)
                if one is not None
            ),
        )

    return offers
