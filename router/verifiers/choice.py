"""Right where the answer chooses the gold letter.

Fails where the gold text is the option's words and not its letter: such a case is not graded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from router.answering.marks import pick_choice
from router.verifiers import Case


@dataclass(frozen=True, slots=True)
class Choice:
    """Equal letters, A to J."""

    answer_kind: ClassVar[str] = "choice"
    needs: ClassVar[str] = "gold"

    def grade(self, case: Case, answer: str | None) -> float | None:
        gold = None if case.gold is None else pick_choice(case.gold, said=True)
        if gold is None:
            return None
        return float(answer is not None and pick_choice(answer, said=True) == gold)
