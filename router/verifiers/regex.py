"""Right where the whole answer matches a pattern.

Says nothing about truth: any text of the form passes. Patterns run in a process of their own, since one may take for
ever on a text made for it; an answer that takes longer than `limit_s` does not pass.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from router.answering.text_check import TextCheck
from router.errors import ConfigError
from router.verifiers import REQUIRED, Case


@dataclass(frozen=True)
class Regex:
    """Full match of a pattern of Python's `re`; flags stand in it, as in `(?i)yes|no`."""

    pattern: str = field(default="", metadata=REQUIRED)
    limit_s: float = 0.2  # processor time of one answer, (0, 60]
    longest: int = 20_000  # characters; a longer answer does not pass

    answer_kind: ClassVar[str] = "auto"
    needs: ClassVar[str] = ""

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except (re.error, RecursionError, OverflowError) as error:
            raise ConfigError(f"regex: pattern {self.pattern!r} is not one: {error}") from error
        if not 0 < self.limit_s <= 60:
            raise ConfigError(f"regex: limit_s must be in (0, 60], got {self.limit_s}")
        if self.longest < 1:
            raise ConfigError(f"regex: longest must be at least 1, got {self.longest}")

    def grade(self, case: Case, answer: str | None) -> float | None:
        if not self.pattern:
            return None
        if answer is None or len(answer) > self.longest:
            return 0.0
        fits = self._check.fits(answer)
        return None if fits is None else float(fits)

    @cached_property
    def _check(self) -> TextCheck:
        return TextCheck("pattern", self.pattern, self.limit_s)  # its process ends with this object
