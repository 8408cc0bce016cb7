"""`apportion:unseen`: its folds hold out whole tasks (which it is not told), so that no test task was trained on."""

from __future__ import annotations

from collections.abc import Mapping

from training.suites.routing.decided import Decided
from training.suites.routing.learned import learn
from training.suites.routing.operating_points import decide
from training.suites.routing.problem import Fold


def apportion_unseen(fold: Fold) -> Mapping[str, Decided]:
    """The same as `apportion`; `run_fold` gives it folds by task."""
    return {"apportion:unseen": decide(fold, learn(fold, fold.train).estimates)}
