"""`lookup:task`: a table per kind of query, the kind being told."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from training.suites.routing.decided import Decided
from training.suites.routing.lookup import table_estimates
from training.suites.routing.operating_points import decide
from training.suites.routing.problem import Fold


def lookup_task(fold: Fold) -> Mapping[str, Decided]:
    """Nothing where the recording tells fewer than two tasks."""
    tasks = fold.problem.tasks
    names = sorted({tasks[place] for place in fold.train})
    if len(names) < 2:
        return {}
    number = {name: place for place, name in enumerate(names)}
    group = np.array([number[tasks[place]] for place in fold.train])
    test_group = np.array([number.get(tasks[place], -1) for place in fold.test])
    return {"lookup:task": decide(fold, table_estimates(fold, group, test_group, len(names)))}
