"""What a subject may look at: the runs, and what a split's tuning half teaches the predictors."""

from __future__ import annotations

from dataclasses import dataclass, field

from training.suites.sampling.learned import Learn
from training.suites.sampling.runs import Runs


@dataclass(frozen=True, slots=True)
class Known:
    """Of one problem."""

    runs: Runs
    learn: Learn = field(compare=False)
