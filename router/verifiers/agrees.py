"""Right where the answer is what the reference backend says most often: a label without gold.

It measures agreement, not truth: where the reference is wrong, agreeing with it counts as right.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from router.answers import canonical
from router.verifiers import Case


@dataclass(frozen=True, slots=True)
class Agrees:
    """The class of the references' majority; of equally frequent classes the one that came first."""

    answer_kind: ClassVar[str] = "auto"
    needs: ClassVar[str] = "references"

    def grade(self, case: Case, answer: str | None) -> float | None:
        if not case.references:
            return None
        classes = Counter(canonical(reference, self.answer_kind) for reference in case.references)
        majority, _ = classes.most_common(1)[0]  # equal counts stand in order of arrival
        return float(answer is not None and canonical(answer, self.answer_kind) == majority)
