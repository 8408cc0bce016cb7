"""When a sample that is still growing is shown to a rule, and whether with the answer that it would give now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Growth:
    """A check-point after `first` tokens, each further one at least `every` tokens behind the one before.

    At every check-point there is a look or, with `cues`, at those where one of them was said since the last one. Where
    none was, the check-point passes, so that where a sample is looked at does not depend on how closely its backend
    follows it. Backends have points of their own (a chunk's end, a recording's snapshots) and show those that are due.
    """

    first: int = 0  # tokens, >= 0
    every: int = 64  # tokens, >= 1
    answers: bool = True  # ask for the tentative answer: a short call on what the server has in its cache
    repeats: bool = False  # look for circles in its text
    cues: tuple[str, ...] = ()  # see `router.domain.cues`

    def due(self, tokens: int, last: int | None) -> bool:
        """Whether a sample of `tokens` tokens is at a check-point; `last`: tokens at the one before, None at first."""
        return tokens >= self.first and (last is None or tokens >= last + self.every)

    def looks(self, tokens: int) -> int:
        """The most looks at a sample of at most `tokens` tokens."""
        return 0 if tokens <= self.first else (tokens - 1 - self.first) // self.every + 1


def growth_of(rule: object) -> Growth | None:
    """What a stopping rule wants to see of growing samples; None: nothing."""
    wanted = getattr(rule, "growth", None)
    return wanted if isinstance(wanted, Growth) else None


def together(rules: Iterable[object]) -> Growth | None:
    """What several rules want to see: the earliest, the most often, with answers if any needs them.

    At the cues of all of them, or at every check-point where one of them wants that.
    """
    found: Growth | None = None
    for wanted in map(growth_of, rules):
        if wanted is None:
            continue
        if found is None:
            found = wanted
        else:
            cues = (*found.cues, *wanted.cues) if found.cues and wanted.cues else ()
            found = Growth(
                min(found.first, wanted.first),
                min(found.every, wanted.every),
                found.answers or wanted.answers,
                found.repeats or wanted.repeats,
                tuple(dict.fromkeys(cues)),
            )
    return found
