"""Right where the answer is the gold number, however it is written, within a tolerance.

Fails where the scale matters: 50 % and 50 are one number here.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from router.answering.number_forms import parse_number
from router.answers import extract
from router.errors import ConfigError
from router.verifiers import Case


@dataclass(frozen=True, slots=True)
class Number:
    """Numbers that differ by at most `relative` of the gold number, or by `absolute`."""

    relative: float = 1e-6  # [0, 1)
    absolute: float = 1e-9  # >= 0

    answer_kind: ClassVar[str] = "number"
    needs: ClassVar[str] = "gold"

    def __post_init__(self) -> None:
        if not 0 <= self.relative < 1:
            raise ConfigError(f"number: relative must be in [0, 1), got {self.relative}")
        if not 0 <= self.absolute < float("inf"):
            raise ConfigError(f"number: absolute must be finite and >= 0, got {self.absolute}")

    def grade(self, case: Case, answer: str | None) -> float | None:
        gold = None if case.gold is None else _read(case.gold)
        if gold is None:
            return None
        value = None if answer is None else _read(answer)
        if value is None:
            return 0.0
        allowed = max(Fraction(self.relative) * abs(gold), Fraction(self.absolute))
        return float(abs(value - gold) <= allowed)


def _read(text: str) -> Fraction | None:
    value = parse_number(text)
    if value is not None:
        return value
    found = extract(text, "number")
    return None if found is None else parse_number(found)
