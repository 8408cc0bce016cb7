"""Right where the answer is the gold text, apart from white space.

Fails on answers that may be written in several ways: 12 and 12.0 are different texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from router.answers import canonical
from router.verifiers import Case


@dataclass(frozen=True, slots=True)
class Exact:
    """Equal texts; upper and lower case differ."""

    answer_kind: ClassVar[str] = "exact"
    needs: ClassVar[str] = "gold"

    def grade(self, case: Case, answer: str | None) -> float | None:
        if case.gold is None:
            return None
        return float(answer is not None and canonical(answer, "exact") == canonical(case.gold, "exact"))
