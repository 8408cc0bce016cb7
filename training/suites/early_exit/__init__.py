"""When may a trace end before its end? To add a subject, write a module here and give it a line in `SUBJECTS`.

A subject decides, per split, at which look every trace of the measured half stops; it may learn from the labels of the
tuning half. `training.suites.early_exit.decide` knows how its settings are chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from training.suites.early_exit.decided import Decided
    from training.suites.early_exit.halves import Half, Known


class Subject(Protocol):
    """One way to stop."""

    def __call__(self, known: Known) -> Callable[[Half], Decided | None]:
        """What can be prepared for all splits; the function decides a split, None where it does not apply."""
        ...


SUBJECTS = {
    "full": "training.suites.early_exit.subjects:full",
    "converged": "training.suites.early_exit.subjects:by_run_length",
    "stated": "training.suites.early_exit.subjects:by_stated",
    "confident@0.05": "training.suites.early_exit.subjects:at_risk_05",
    "confident@0.10": "training.suites.early_exit.subjects:at_risk_10",
    "utility": "training.suites.early_exit.subjects:by_utility",
    "best@0.5pt": "training.suites.early_exit.subjects:best",
    "states@0.5pt": "training.suites.early_exit.subjects:best_with_states",
}
