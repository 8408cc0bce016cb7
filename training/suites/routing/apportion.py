"""`apportion`, and with the same fit `apportion:own_cost`, `apportion:task` and `apportion:after`."""

from __future__ import annotations

from collections.abc import Mapping

from training.suites.routing.after import comes_back, decide_after
from training.suites.routing.apportion_task import with_task
from training.suites.routing.decided import Decided
from training.suites.routing.learned import learn
from training.suites.routing.operating_points import decide, decide_by_price
from training.suites.routing.problem import Fold


def apportion(fold: Fold) -> Mapping[str, Decided]:
    """The text alone; then with each query's own cost (two backends), told its task, and after the first answer."""
    cheapest = fold.problem.backends[fold.cheapest]
    learned = learn(fold, fold.train, samples_of=cheapest if comes_back(fold) else "")
    found = {"apportion": decide(fold, learned.estimates)}
    if len(fold.problem.backends) == 2:
        found["apportion:own_cost"] = decide_by_price(fold, learned.estimates)
    told = with_task(fold, learned.estimates)
    if told is not None:
        found["apportion:task"] = decide(fold, told)
    after = decide_after(fold, learned)
    if after is not None:
        found["apportion:after"] = after
    return found
