"""Right where the gold words stand in the answer, as whole words, in their order.

Fails on an answer that names every possibility, or denies the right one ("not Paris").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from router.verifiers import Case

_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Contains:
    """The gold text's words in the answer; case, white space and the gold text's final full stop do not count."""

    answer_kind: ClassVar[str] = "text"
    needs: ClassVar[str] = "gold"

    def grade(self, case: Case, answer: str | None) -> float | None:
        gold = None if case.gold is None else _words(case.gold.strip().removesuffix("."))
        if not gold or not gold.strip():
            return None
        return float(answer is not None and gold in _words(answer))


def _words(text: str) -> str:
    return f" {' '.join(_WORD.findall(text.casefold()))} "
