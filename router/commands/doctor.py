"""`apportion doctor`: whether a configuration is true of the servers, the files and the machine it speaks of."""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from router.commands.tables import counted, table
from router.configuration.file import Examined, examine
from router.errors import ConfigError
from router.onboarding.check_place import check_place
from router.onboarding.checkup import Finding, Health, healthy
from router.onboarding.live_check import check_servers
from router.onboarding.survey import Limits
from router.onboarding.target import read_prices


def doctor(
    config: Annotated[Path, typer.Option("--config", "-c", help="The configuration.")] = Path("router.toml"),
    gpu_dollars_per_hour: Annotated[
        list[str] | None,
        typer.Option(help="What the GPUs of every backend cost, or NAME=X for one: to check prices."),
    ] = None,
    seconds: Annotated[float, typer.Option(min=2.0, max=600.0, help="Time for each backend.")] = 30.0,
    quick: Annotated[bool, typer.Option("--quick", help="10 seconds for each, coarser figures.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")] = False,
) -> None:
    """Check live whether a configuration is true, and say what each missing capability costs.

    Exit code 0: no problem. 1: problems. 2: it cannot be checked, since the configuration cannot be read.
    With --json: {"ok": …, "findings": [{"health": "ok" | "note" | "problem", "about", "text"}], "measured": …}.
    """
    try:
        examined = examine(config, serving=False)
        if examined.problems:
            raise ConfigError("\n".join(map(str, examined.problems)))
        dollars = read_prices(gpu_dollars_per_hour or [], list(examined.config.backends))
    except ConfigError as error:
        if as_json:
            typer.echo(json.dumps({"ok": False, "error": str(error)}))
        else:
            typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    limits = Limits.quick() if quick else Limits(seconds)
    findings, measured = asyncio.run(_look(examined, config.parent, dollars, limits))
    if as_json:
        rows = [{"health": one.health.value, "about": one.about, "text": one.text} for one in findings]
        typer.echo(json.dumps({"ok": healthy(findings), "findings": rows, "measured": measured}))
    else:
        typer.echo(table((one.health.value, one.about, one.text) for one in findings))
        counts = {health: sum(one.health is health for one in findings) for health in Health}
        problems, notes = counted(counts[Health.PROBLEM], "problem"), counted(counts[Health.NOTE], "note")
        typer.echo(f"\n{problems}, {notes}, {counts[Health.OK]} ok")
    if not healthy(findings):
        raise typer.Exit(1)


async def _look(
    examined: Examined, folder: Path, dollars: Mapping[str, float], limits: Limits
) -> tuple[list[Finding], dict[str, Any]]:
    def say(what: str) -> None:
        typer.echo(f"{what} …", err=True)

    findings, measured = await check_servers(
        examined.config,
        folder,
        dollars,
        limits,
        environ=os.environ,
        rng=random.Random(secrets.randbits(64)),  # prompts that no prefix cache has seen
        say=say,
    )
    here = await asyncio.to_thread(lambda: list(check_place(examined.config, examined.plans, folder)))
    return [*findings, *here], measured
