"""A workload of our own: questions made by code, with known answers and graded difficulty within every kind.

To add a kind, write a function `(rng, level) -> Draft` in one of the modules here (level 1 is the easiest, 5 the
hardest; all randomness from `rng`; the gold answer computed, never typed) and give it a line in `KINDS`.
"""

from __future__ import annotations

from dataclasses import dataclass

LEVELS = 5


@dataclass(frozen=True, slots=True)
class Draft:
    """One question and its canonical answer."""

    text: str
    gold: str


# kind -> (grader, writer); the grader is a verifier, behind a colon how answers are found where it has another way
KINDS = {
    "sum": ("number", "training.workload.arithmetic:write_sum"),
    "difference": ("number", "training.workload.arithmetic:write_difference"),
    "product": ("number", "training.workload.arithmetic:write_product"),
    "division": ("number", "training.workload.arithmetic:write_division"),
    "larger": ("number", "training.workload.arithmetic:write_larger"),
    "sequence": ("number", "training.workload.arithmetic:write_sequence"),
    "shopping": ("number", "training.workload.everyday:write_shopping"),
    "units": ("number", "training.workload.everyday:write_units"),
    "roman": ("number", "training.workload.everyday:write_roman"),
    "weekday": ("contains:auto", "training.workload.everyday:write_weekday"),
    "letters": ("number", "training.workload.strings:write_letters"),
    "backwards": ("contains:auto", "training.workload.strings:write_backwards"),
    "sorting": ("contains:auto", "training.workload.strings:write_sorting"),
    "code": ("number", "training.workload.strings:write_code"),
    "capital": ("contains:auto", "training.workload.tables:write_capital"),
    "continent": ("contains:auto", "training.workload.tables:write_continent"),
    "sort_of": ("contains:auto", "training.workload.language:write_sort_of"),
    "opposite": ("contains:auto", "training.workload.language:write_opposite"),
    "past": ("contains:auto", "training.workload.language:write_past"),
    "mood": ("contains:auto", "training.workload.language:write_mood"),
    "element": ("contains:auto", "training.workload.tables:write_element"),
}
