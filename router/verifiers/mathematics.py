"""Right where the answer is mathematically equal to the gold expression (math-verify, in a process of its own).

Equal strings and numbers need no process. Without math-verify only those are recognised. Fails on expressions that
math-verify reads wrongly, for instance a product written without a sign behind a fraction.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from router.answering.math_equivalence import MathEquivalence
from router.answering.number_forms import canonical_number
from router.answers import canonical, extract
from router.errors import ConfigError
from router.verifiers import Case


@dataclass(frozen=True)
class Math:
    """Equal expressions; one that takes longer than `limit_s` counts as different."""

    limit_s: float = 2.0  # seconds of an expression, > 0

    answer_kind: ClassVar[str] = "math"
    needs: ClassVar[str] = "gold"

    def __post_init__(self) -> None:
        if not 0 < self.limit_s <= 60:
            raise ConfigError(f"math: limit_s must be in (0, 60], got {self.limit_s}")

    def grade(self, case: Case, answer: str | None) -> float | None:
        if case.gold is None:
            return None
        if answer is None:
            return 0.0
        gold = extract(case.gold, "math") or case.gold
        if canonical(answer, "math") == canonical(gold, "math"):
            return 1.0
        if canonical_number(answer) is not None and canonical_number(gold) is not None:
            return 0.0
        return float(self._equivalence.equal(gold, answer) is True)

    @cached_property
    def _equivalence(self) -> MathEquivalence:
        return MathEquivalence(self.limit_s)  # its process ends with this object
