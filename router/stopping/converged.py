"""End a trace once its tentative answer stays the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import ClassVar

from predictors.observation import Observation, Signals
from router.domain.growth import Growth
from router.domain.plan import LATER
from router.domain.verdict import ENOUGH, MORE, Verdict
from router.errors import ConfigError
from router.stopping import StoppingRule


@dataclass(frozen=True, slots=True)
class Converged(StoppingRule):
    """ENOUGH where a growing sample gave the same tentative answer at its last `equal` looks.

    Answer convergence (2025): k equal answers in a row. With `jump` the run must also be longer than the mean of the
    trace's earlier runs by so many of their standard deviations (ES-CoT, 2025: stop at a sharp jump of the run length).
    A look without an answer ends a run. It needs no labels. Fails on a trace that is wrong early and sure of it, and
    where looks are so dense that the answer had no time to change; a finished sample ends nothing. With `cues` it looks
    only where the text says one of them (`router.domain.cues`).
    """

    equal: int = 3  # looks, >= 1
    jump: float | None = None  # standard deviations, >= 0; None: no such test
    first: int = 0  # tokens before the first look, >= 0
    every: int = 64  # tokens between looks, >= 1
    cues: tuple[str, ...] = field(default=(), metadata=LATER)  # words that a look waits for; none: every look

    reads_content: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name, least in (("equal", 1), ("first", 0), ("every", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"converged: {name} must be at least {least}, got {getattr(self, name)}")
        if self.jump is not None and not self.jump >= 0:
            raise ConfigError(f"converged: jump must be 0 or more, got {self.jump}")
        if "" in self.cues:
            raise ConfigError("converged: cues must not be empty words")

    @property
    def growth(self) -> Growth:
        """Tentative answers."""
        return Growth(self.first, self.every, cues=self.cues)

    def verdict(self, seen: Observation, signals: Signals) -> Verdict:
        """ENOUGH after an equal run."""
        latest = seen.latest
        if latest is None or latest.finished or latest.answer_class is None:
            return MORE
        earlier, run = runs([look.answer_class for look in seen.trace(latest.sample_id)])
        if run < self.equal:
            return MORE
        if self.jump is not None and earlier:
            mean = sum(earlier) / len(earlier)
            sd = sqrt(max(0.0, sum(length**2 for length in earlier) / len(earlier) - mean**2))
            if run <= mean + self.jump * sd:
                return MORE
        return ENOUGH


def runs(classes: Sequence[int | None]) -> tuple[list[int], int]:
    """(lengths of the runs that have ended, length of the present one); None is no answer and ends a run.

    >>> runs([0, 0, 1, None, 1, 1])
    ([2, 1], 2)
    """
    earlier: list[int] = []
    run, last = 0, None
    for number in classes:
        if number is not None and number == last:
            run += 1
            continue
        if run:
            earlier.append(run)
        run, last = (0 if number is None else 1), number
    return earlier, run
