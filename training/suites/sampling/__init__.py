"""When is it enough? To add a subject, write a module here and give it a line in `SUBJECTS`.

A subject offers settings: for every run (a query under a permutation) and setting, after how many samples it stops. Of
its settings the suite takes, per split, the one with the fewest samples on the tuning half that loses no more than
wanted there, and measures it on the other half. A subject may learn from the labels of the tuning half; from the other
half it sees samples without labels (the oracle alone sees all).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from training.sampling.candidates import Candidates
    from training.sampling.known import Known
    from training.sampling.split import Split


class Subject(Protocol):
    """One way to stop."""

    def __call__(self, known: Known) -> Callable[[Split], Candidates | None]:
        """What can be prepared for all splits; the function gives a split's settings, None where it does not apply."""
        ...


SUBJECTS = {
    "fixed": "training.suites.sampling.fixed:fixed",
    "beta": "training.suites.sampling.by_votes:beta",
    "window": "training.suites.sampling.window:window",
    "dirichlet": "training.suites.sampling.by_votes:dirichlet",
    "majority_certificate": "training.suites.sampling.by_votes:majority_certificate",
    "entropy": "training.suites.sampling.by_votes:entropy",
    "lock_in": "training.suites.sampling.by_votes:lock_in",
    "instance_adaptive": "training.suites.sampling.instance_adaptive:instance_adaptive",
    "value_of_next": "training.suites.sampling.apportion:value_of_next",
    "learned_stop": "training.suites.sampling.learned_stop:learned_stop",
    "apportion": "training.suites.sampling.apportion:apportion",
    "oracle": "training.suites.sampling.oracle:oracle",
}
