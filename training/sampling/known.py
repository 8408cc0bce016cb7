"""What a way to stop may look at: the runs, and what a split's tuning half teaches the predictors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from router.plugins import resolve
from training.sampling.expected import Learn
from training.sampling.runs import Runs
from training.sampling.worth import Lattice, Worth, worth_of

if TYPE_CHECKING:
    from training.sampling.candidates import Candidates
    from training.sampling.split import Split

    Offers = Callable[[Split], Candidates | None]


@dataclass(frozen=True, slots=True)
class Known:
    """Of one problem."""

    runs: Runs
    learn: Learn = field(compare=False)
    worth: Callable[[Lattice], Worth] = field(compare=False)  # where `value_of_next` stops
    # that may be `prepared`: name -> "module:function"
    subjects: Mapping[str, str] = field(default_factory=dict, compare=False)
    _prepared: dict[str, Offers] = field(default_factory=dict, compare=False)

    def prepared(self, subject: str) -> Offers:
        """What one of `subjects` offers for each split; prepared once, for all who look at it."""
        if subject not in self._prepared:
            self._prepared[subject] = resolve("subject", self.subjects, subject)(self)
        return self._prepared[subject]

    @classmethod
    def of(cls, runs: Runs, learn: Learn, subjects: Mapping[str, str] | None = None) -> Known:
        """Nothing is learned or solved before it is asked for, and nothing twice."""

        @lru_cache(maxsize=4)
        def worth(lattice: Lattice) -> Worth:
            return worth_of(runs, lattice)

        return cls(runs, learn, worth, subjects or {})
