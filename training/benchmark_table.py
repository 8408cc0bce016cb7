"""Figures as tables on the terminal: one per recording, a row per subject."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from training.figures.spread import Spread
from training.run_suite import Failed, Outcome, Skipped
from training.some_of import some_of
from training.suites import Figures

LEFT_OUT = "left_out/"  # and a backend, in the figures of every subject: said once, above the table
MOST_COLUMNS = 9  # figures side by side; more go into a further table
PLAIN = frozenset({"queries", "left_out"})  # said once, under the title


def print_tables(suite: str, found: Mapping[str, Outcome], console: Console | None = None) -> None:
    """Mean ± standard deviation over folds and seeds."""
    out = console or Console(width=150)
    for name, outcome in found.items():
        if isinstance(outcome, Failed):
            out.print(f"[bold]{suite} · {name}[/bold]: [red]error[/red]: {outcome.error}")
        elif isinstance(outcome, Skipped):
            out.print(f"[bold]{suite} · {name}[/bold]: skipped: {outcome.why}")
        else:
            _print_figures(out, f"{suite} · {name}", outcome)


def _print_figures(out: Console, title: str, figures: Figures) -> None:
    names = list(dict.fromkeys(name for found in figures.values() for name in found if name not in PLAIN))
    apart = [name for name in names if name.startswith(LEFT_OUT)]
    names = [name for name in names if name not in apart]
    if apart:
        shares = {
            name: next(_mean(found[name]) for found in figures.values() if name in found) for name in apart
        }
        told = [
            f"{name.removeprefix(LEFT_OUT)} {100 * shares[name]:.0f} %"
            for name in sorted(apart, key=lambda name: -shares[name])
        ]
        said = f"not compared (labels on so many of the labelled queries): {some_of(told)}"
        out.print(f"{title}: {said}", markup=False, highlight=False, soft_wrap=True)
    notes = [
        f"{name.replace('_', ' ')} {max(_mean(found[name]) for found in figures.values() if name in found):.0f}"
        for name in sorted(PLAIN)
        if any(name in found for found in figures.values())
    ]
    for start in range(0, len(names), MOST_COLUMNS):
        part = names[start : start + MOST_COLUMNS]
        table = Table(
            title=title + (f" ({', '.join(notes)})" if notes and not start else ""), title_justify="left"
        )
        table.add_column("subject", no_wrap=True)
        for name in part:
            table.add_column(name, justify="right")
        for subject, found in figures.items():
            if any(name in found for name in part):
                table.add_row(subject, *(_cell(found.get(name)) for name in part))
        out.print(table)


def _mean(value: Spread | float) -> float:
    return value.mean if isinstance(value, Spread) else float(value)


def _cell(value: Spread | float | None) -> str:
    if value is None:
        return "–"
    if not isinstance(value, Spread):
        return _number(value)
    return f"{_number(value.mean)} ±{_number(value.sd)}" if value.sd else _number(value.mean)


def _number(value: float) -> str:
    """Four significant digits at most, no leading zero before the point."""
    text = f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text
