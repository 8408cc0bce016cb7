"""`oracle`: knows what every backend's served sample will earn and cost; the bound that nobody can pass."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from training.suites.routing.decided import Decided
from training.suites.routing.operating_points import Estimates, decide
from training.suites.routing.problem import Fold


def oracle(fold: Fold) -> Mapping[str, Decided]:
    """The true rewards and costs as estimates; a tie in gain goes to the cheaper backend."""
    problem = fold.problem
    reward, cost = problem.served_reward, problem.served_cost
    gain_first = reward - 1e-9 * cost / max(float(np.max(cost)), 1e-300)
    return {
        "oracle": decide(
            fold,
            Estimates(
                train_quality=gain_first[fold.train],
                train_cost=cost[fold.train],
                test_quality=gain_first[fold.test],
                test_cost=cost[fold.test],
                p_small_wrong=1 - reward[fold.test, fold.cheapest],
            ),
        )
    }
