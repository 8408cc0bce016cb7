"""`apportion:unseen`: its folds hold out whole tasks (which it is not told), so that no test task was trained on."""

from __future__ import annotations

from collections.abc import Mapping

from training.errors import NotEnoughData
from training.suites.routing.decided import Decided
from training.suites.routing.learned import learn
from training.suites.routing.operating_points import decide
from training.suites.routing.problem import Fold


def apportion_unseen(fold: Fold) -> Mapping[str, Decided]:
    """The same as `apportion`; `run_fold` gives it folds by task.

    Nothing where the other tasks have too few queries to be fitted on: beside a task of nearly all queries only the
    other folds count, and the figure `queries` tells of how many.
    """
    try:
        learned = learn(fold, fold.train)
    except NotEnoughData:
        return {}
    return {"apportion:unseen": decide(fold, learned.estimates)}
