"""A live run as tables and as JSON: every decision, what was saved, what the servers counted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from training.live_demo.score import Line, Sum, mixed, paired, sum_of
from training.vllm_cpu.counters import Counters

POLICY, VOTES, CASCADES = "Apportion", "a vote, asked for", "a cascade, asked for"
SMALL, LARGE = "always small", "always large"


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that is told."""

    lines: Sequence[Line]  # of the queries that Apportion answered, or was left with
    # SMALL, LARGE -> the same queries but for the left ones, by that plan
    always: Mapping[str, Sequence[Line]]
    together: Mapping[str, Sequence[Line]]  # composition -> the same queries as `always`
    counted: Mapping[str, Mapping[str, Counters]]  # phase -> model -> what its server counted
    spent_micros: int  # by the ledgers, over all phases
    rows: int  # of the logs
    problems: Sequence[str]
    facts: Mapping[str, Any]  # price, seed, times, …


def groups(run: Run) -> dict[str, list[Line]]:
    """Answered lines by who chose the plan."""
    answered = [line for line in run.lines if line.right is not None]
    return {
        POLICY: [line for line in answered if line.chosen == "policy"],
        VOTES: [line for line in answered if line.chosen == "caller" and line.kind == "vote"],
        CASCADES: [line for line in answered if line.chosen == "caller" and line.kind == "cascade"],
        **{f"{name}: both": list(lines) for name, lines in run.together.items()},
    }


def savings(run: Run) -> dict[str, dict[str, Any]]:
    """Each group beside always-small and always-large on the same queries."""
    found: dict[str, dict[str, Any]] = {}
    for name, ours in groups(run).items():
        ids = {line.query_id for line in ours}
        rows = {name: ours} | {
            other: [line for line in lines if line.query_id in ids] for other, lines in run.always.items()
        }
        sums = {title: sum_of(lines) for title, lines in rows.items()}
        found[name] = {
            title: _told(sums[title], sums[LARGE], paired(lines, rows[LARGE]))
            for title, lines in rows.items()
        }
        found[name][name]["random_mix_right"] = mixed(sums[name], sums[SMALL], sums[LARGE])
    return found


def _told(some: Sum, large: Sum, against: tuple[int, int]) -> dict[str, Any]:
    return asdict(some) | {
        "quality": some.quality,
        "dollars_per_thousand": some.per_thousand,
        "saving": 1 - some.dollars / large.dollars if large.dollars else math.nan,
        "right_where_large_is_wrong": against[0],
        "wrong_where_large_is_right": against[1],
    }


def as_json(run: Run) -> dict[str, Any]:
    """Everything, for other programs; null where there is no number."""
    found: dict[str, Any] = {
        **run.facts,
        "problems": list(run.problems),
        "savings": savings(run),
        "servers": {
            phase: {model: asdict(counters) for model, counters in of.items()}
            for phase, of in run.counted.items()
        },
        "ledger": {"spent_micros": run.spent_micros, "rows": run.rows},
        "decisions": [asdict(line) for line in run.lines],
        "always": {name: [asdict(line) for line in lines] for name, lines in run.always.items()},
        "together": {name: [asdict(line) for line in lines] for name, lines in run.together.items()},
    }
    return {key: _plain(value) for key, value in found.items()}


def _plain(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_run(run: Run, console: Console) -> None:
    """Three tables."""
    console.print(_decisions(run.lines))
    found = savings(run)
    console.print(_savings(found))
    coin = found[POLICY][POLICY]["random_mix_right"]
    console.print(
        f"A coin between the two models that spends what Apportion spent is right on {coin:.1f}. "
        "Savings are against always large, measured on the same queries in the same run. "
        f"In the recording {run.facts['small']} is right on {100 * run.facts['recorded']['small']:.0f} % of them, "
        f"{run.facts['large']} on {100 * run.facts['recorded']['large']:.0f} %.",
        style="dim",
    )
    console.print(_servers(run.counted))
    started = sum(line.samples for line in run.lines)
    finished = sum(seen.finished for seen in next(iter(run.counted.values())).values())
    console.print(
        "What the servers say of themselves: a request for n samples counts its prompt n times, a hit is a prompt "
        f"token from the prefix cache. Of Apportion's {started} samples {finished} came to their end there; the others "
        "were cut when their query was left or had its answer.",
        style="dim",
    )


def _decisions(lines: Sequence[Line]) -> Table:
    table = Table(title="Decisions (µ$: millionths of a dollar)", title_justify="left")
    for name in ("", "query", "asked", "plan by", "plan"):
        table.add_column(name, no_wrap=True)
    for name in ("samples", "µ$", "answer", "seconds", "first text"):
        table.add_column(name, justify="right", no_wrap=True)
    for number, line in enumerate(lines, 1):
        answer = {True: "right", False: "wrong", None: "failed" if line.error else "left"}[line.right]
        table.add_row(
            f"{number:2}",
            line.query_id,
            line.way,
            line.chosen,
            line.plan,
            str(line.samples),
            f"{1e6 * line.dollars:.1f}",
            answer,
            f"{line.latency_s:.1f}",
            "" if line.first_text_s is None else f"{line.first_text_s:.1f}",
            style={"right": "green", "left": "dim", "failed": "bold red"}.get(answer, ""),
        )
    return table


def _savings(found: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Table:
    table = Table(title="Savings", title_justify="left")
    table.add_column("", no_wrap=True)
    for name in (
        "right",
        "$ per 1,000",
        "samples",
        "median s",
        "saving",
        "only it right",
        "only large right",
    ):
        table.add_column(name, justify="right")
    for group, rows in found.items():
        if not rows[group]["queries"]:
            continue
        for title, row in rows.items():
            table.add_row(
                title,
                f"{row['right']} of {row['queries']}",
                f"{row['dollars_per_thousand']:.4f}",
                f"{row['samples'] / row['queries']:.2f}",
                f"{row['median_s']:.1f}",
                f"{100 * row['saving']:.0f} %",
                "" if title == LARGE else str(row["right_where_large_is_wrong"]),
                "" if title == LARGE else str(row["wrong_where_large_is_right"]),
                style="bold" if title == group else "",
            )
        table.add_section()
    return table


def _servers(counted: Mapping[str, Mapping[str, Counters]]) -> Table:
    table = Table(title="The servers' own counters", title_justify="left")
    for name in ("while", "server"):
        table.add_column(name, no_wrap=True)
    for name in ("prompt tokens", "cache hits", "generated", "finished", "running now", "waiting"):
        table.add_column(name, justify="right")
    for phase, of in counted.items():
        for model, seen in of.items():
            if seen == Counters():
                continue
            table.add_row(
                phase,
                model,
                f"{seen.prompt_tokens:,}",
                f"{seen.cache_hits:,}",
                f"{seen.generation_tokens:,}",
                str(seen.finished),
                str(seen.running),
                str(seen.waiting),
            )
        table.add_section()
    return table
