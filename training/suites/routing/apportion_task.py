"""`apportion:task`: what is expected from the text, corrected by how that erred on the same task.

A task's mean error over its held-out training queries, shrunk towards none, is added to every backend's quality.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from training.suites.routing.operating_points import Estimates
from training.suites.routing.problem import Fold

PRIOR = 40.0  # queries without error, in every task


def with_task(fold: Fold, estimates: Estimates) -> Estimates | None:
    """None where the recording tells fewer than two tasks. The training rows are corrected without themselves."""
    tasks = fold.problem.tasks
    names = sorted({tasks[place] for place in fold.train})
    if len(names) < 2:
        return None
    number = {name: place for place, name in enumerate(names)}
    group = np.array([number[tasks[place]] for place in fold.train])
    # the last: never seen
    test_group = np.array([number.get(tasks[place], len(names)) for place in fold.test])
    error = fold.problem.reward[fold.train] - estimates.train_quality  # (n_train, B)
    total = np.zeros((len(names) + 1, error.shape[1]))
    np.add.at(total, group, error)
    count = np.bincount(group, minlength=len(names) + 1).astype(np.float64)[:, None]
    own = (total[group] - error) / (count[group] - 1 + PRIOR)
    quality = estimates.test_quality + (total / (count + PRIOR))[test_group]
    return replace(
        estimates,
        train_quality=estimates.train_quality + own,
        test_quality=quality,
        p_small_wrong=np.clip(1 - quality[:, fold.cheapest], 0.0, 1.0),
    )
