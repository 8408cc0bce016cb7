"""Which model, how many samples, when to stop? To add a subject, write a module here and give it a line in `SUBJECTS`.

A subject is a function of what is known in one fold: held-out expectations and outcomes of the training queries, what
is expected of the test queries. It decides for every query at operating points that it chose on the training queries;
the oracle alone looks at the outcomes of the test queries.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from training.suites.allocation.decided import Decided
    from training.suites.allocation.known import Known


class Subject(Protocol):
    """One way to spend compute."""

    def __call__(self, known: Known) -> Mapping[str, Decided]:
        """Decisions by subject name (one function may answer for several); empty where it does not apply."""
        ...


SUBJECTS = {
    "always": "training.suites.allocation.always:always",
    "best_fixed_plan": "training.suites.allocation.best_fixed_plan:best_fixed_plan",
    "route_only": "training.suites.allocation.route_only:route_only",
    "sample_only": "training.suites.allocation.sample_only:sample_only",
    "cascade_only": "training.suites.allocation.cascade_only:cascade_only",
    "table": "training.suites.allocation.table:table",
    "match_probability": "training.suites.allocation.match_probability:match_probability",
    "hop": "training.suites.allocation.hop:hop",
    "apportion": "training.suites.allocation.apportion:apportion",
    "oracle": "training.suites.allocation.oracle:oracle",
}
