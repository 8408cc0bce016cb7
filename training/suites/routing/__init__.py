"""Which backend answers? To add a subject, write a module here and give it a line in `SUBJECTS`.

A subject is a function of one fold: it may look at the labels of the training queries, never at those of the test
queries (the oracle alone may), and decides for every test query at every operating point.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from training.suites.routing.decided import Decided
    from training.suites.routing.problem import Fold


class Subject(Protocol):
    """One way to route."""

    def __call__(self, fold: Fold) -> Mapping[str, Decided]:
        """Decisions by subject name (one function may answer for several); empty where it does not apply."""
        ...


SUBJECTS = {
    "always": "training.suites.routing.always:always",
    "random_mix": "training.suites.routing.random_mix:random_mix",
    "zero_router": "training.suites.routing.zero_router:zero_router",
    "knn": "training.suites.routing.knn:knn",
    "lookup": "training.suites.routing.lookup:lookup",
    "lookup:task": "training.suites.routing.lookup_task:lookup_task",
    "apportion": "training.suites.routing.apportion:apportion",
    "apportion:few": "training.suites.routing.apportion_few:apportion_few",
    "apportion:unseen": "training.suites.routing.apportion_unseen:apportion_unseen",
    "oracle": "training.suites.routing.oracle:oracle",
}
