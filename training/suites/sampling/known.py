"""What a subject may look at: the runs, and what a split's tuning half teaches the predictors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from training.suites.sampling.learned import Learn
from training.suites.sampling.runs import Runs
from training.suites.sampling.worth import Lattice, Worth, worth_of


@dataclass(frozen=True, slots=True)
class Known:
    """Of one problem."""

    runs: Runs
    learn: Learn = field(compare=False)
    worth: Callable[[Lattice], Worth] = field(compare=False)  # where `value_of_next` stops

    @classmethod
    def of(cls, runs: Runs, learn: Learn) -> Known:
        """Nothing is learned or solved before it is asked for, and nothing twice."""

        @lru_cache(maxsize=4)
        def worth(lattice: Lattice) -> Worth:
            return worth_of(runs, lattice)

        return cls(runs, learn, worth)
