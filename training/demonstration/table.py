"""Five splits as tables: the mean and its spread, and the paired differences at equal cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from training.demonstration.score import Result

FIELDS = ("quality", "cost", "samples", "saving")


@dataclass(frozen=True, slots=True)
class MeanSd:
    """Mean and standard deviation over splits."""

    mean: float
    sd: float

    @classmethod
    def of(cls, values: Sequence[float]) -> MeanSd:
        """Of one value or more."""
        mean = math.fsum(values) / len(values)
        spare = max(1, len(values) - 1)
        return cls(mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / spare))

    def text(self, digits: int, sign: str = "") -> str:
        """`.412 ± .020`."""
        return f"{self.mean:{sign}.{digits}f} ± {self.sd:.{digits}f}"


def summary(results: Sequence[Result], weights: Sequence[str]) -> dict[str, Any]:
    """Everything that is printed, as JSON: subject -> figure, and price -> baseline -> difference in points."""
    subjects = {
        subject: {
            name: _json(MeanSd.of([getattr(result.rows[subject], name) for result in results]))
            for name in FIELDS
        }
        for subject in results[0].rows
    }
    gains = {
        at: {
            name: {
                **_json(MeanSd.of([result.gains[at][name] for result in results])),
                "splits_won": sum(result.gains[at][name] > 0 for result in results),
            }
            for name in results[0].gains[at]
        }
        for at in weights
    }
    return {"splits": len(results), "subjects": subjects, "at_equal_cost": gains}


def _json(value: MeanSd) -> dict[str, float]:
    return {"mean": value.mean, "sd": value.sd}


def print_tables(results: Sequence[Result], weights: Sequence[str], console: Console) -> None:
    """Two tables."""
    middle = weights[len(weights) // 2]
    table = Table(title=f"Held-out halves, mean ± sd over {len(results)} splits", title_justify="left")
    table.add_column("", no_wrap=True)
    for name in ("quality", "$ per 1,000 queries", "samples per query", "saving against large"):
        table.add_column(name, justify="right")
    for subject in _order(results[0], weights):
        values = {
            name: MeanSd.of([getattr(result.rows[subject], name) for result in results]) for name in FIELDS
        }
        matched = subject in results[0].curves and subject != "oracle"
        name = f"{subject} (at the cost of {middle})" if matched else subject
        table.add_row(
            name,
            values["quality"].text(3),
            values["cost"].text(4),
            values["samples"].text(2),
            values["saving"].text(0) + " %",
            style="bold" if subject.startswith("Apportion") else "",
        )
    console.print(table)
    paired = Table(title="Apportion's quality minus theirs at the same cost, in points", title_justify="left")
    paired.add_column("price")
    for name in results[0].gains[middle]:
        paired.add_column(name, justify="right")
    for at in weights:
        cells = []
        for name in results[0].gains[at]:
            values_at = [result.gains[at][name] for result in results]
            won = sum(value > 0 for value in values_at)
            cells.append(f"{MeanSd.of(values_at).text(1, '+')}  ({won}/{len(results)})")
        paired.add_row(at, *cells)
    console.print(paired)
    console.print("In brackets: splits won.", style="dim")


def _order(result: Result, weights: Sequence[str]) -> list[str]:
    mine = [f"Apportion {at}" for at in weights]
    ends = ["always small", "always large"]
    rest = [name for name in result.rows if name not in (*mine, *ends, "oracle")]
    return [*ends, *mine, *rest, "oracle"]
