"""`apportion check`: everything that `serve` would say about a configuration, without starting."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from router.configuration.file import examine
from router.configuration.problems import Problem
from router.configuration.summary import summary
from router.errors import ConfigError


def check(
    file: Annotated[Path, typer.Argument(help="The configuration.")] = Path("router.toml"),
    elsewhere: Annotated[
        bool,
        typer.Option(
            "--elsewhere", help="For another machine: do not look for the bundle's and store's folders."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")] = False,
) -> None:
    """Say what is wrong with a configuration, or what it configures, and which prices are hardly meant so.

    Exit code 0: it can be served. 1: it cannot; every problem is named with file, line, key, value and choices.
    With --json: {"ok": true, "plans": …, "doubts": […], …} or {"ok": false, "problems": [{"line", "key", "text"}]}.
    """
    try:
        examined = examine(file, serving=not elsewhere)
    except ConfigError as error:
        if not as_json:
            raise
        typer.echo(json.dumps({"ok": False, "problems": [{"text": str(error)}]}))
        raise typer.Exit(1) from None
    if examined.problems:
        _report(examined.problems, as_json=as_json)
        raise typer.Exit(1)
    found = summary(examined.config, examined.plans, time.time())
    typer.echo(json.dumps({"ok": True, **found}) if as_json else _readable(file, found))
    for doubt in () if as_json else found["doubts"]:
        typer.echo(f"{file}: {doubt}", err=True)


def _report(problems: tuple[Problem, ...], *, as_json: bool) -> None:
    if as_json:
        rows = [
            {"file": problem.file, "line": problem.line, "key": problem.key, "text": problem.text}
            for problem in problems
        ]
        typer.echo(json.dumps({"ok": False, "problems": rows}))
        return
    for problem in problems:
        typer.echo(str(problem), err=True)


def _readable(file: Path, found: dict[str, Any]) -> str:
    budget = found["budget"]["dollars"]
    limits = [] if budget is None else [f"${budget:g} per {found['budget']['window']}"]
    limits += [
        f"budget {name!r} {one['amount']:g} {one['unit']} per {one['window']}"
        for name, one in found["budgets"].items()
        if one["amount"] is not None
    ]
    limit = ", ".join(limits) or "no budget"
    policy = found["policy"] if isinstance(found["policy"], str) else found["policy"]["kind"]
    rows = [
        f"{file} can be served.",
        f"mode {found['mode']}, policy {policy}, {limit}, bundle {found['bundle'] or '(none: untrained)'}",
        f"reference plan {found['reference']}, without a bundle {found['untrained']}",
        "",
        "backends ($ per 1M tokens: in / cached / out)",
    ]
    width = max(map(len, [*found["backends"], *found["plans"]]))
    for name, backend in found["backends"].items():
        prices = " / ".join(f"{backend[key]:g}" for key in ("price_in", "price_cached_in", "price_out"))
        rows.append(f"  {name:{width}}  {backend['kind']}, {backend['from']}, {prices}")
    rows += [
        "",
        f"plans (commit, digest, worst case for a prompt of {found['worst_case_prompt_bytes']} bytes)",
    ]
    for name, plan in found["plans"].items():
        worst = plan["worst_case_dollars"]
        rows.append(f"  {name:{width}}  {plan['commit']}, {plan['digest']}, ${worst:.6f}")
        rows += [f"  {'':{width}}    {number}. {stage}" for number, stage in enumerate(plan["stages"], 1)]
    return "\n".join(rows)
