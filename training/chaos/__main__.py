"""`make chaos`: every fault in turn, a line each; the exit code says whether all of it held."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from training.chaos.faults import FAULTS
from training.chaos.run import Found, run
from training.store_bench.postgres_server import postgres_server


def chaos(
    only: Annotated[
        list[str] | None,
        typer.Option(help=f"One of {', '.join(fault.name for fault in FAULTS)}; repeat for several."),
    ] = None,
    short: Annotated[bool, typer.Option(help="Seconds instead of minutes.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Break it under load, and see what callers see and what is kept."""
    names = {fault.name for fault in FAULTS}
    if unknown := set(only or ()) - names:
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}; choose from {', '.join(sorted(names))}")
    place = Path(tempfile.mkdtemp(prefix="apportion-chaos-"))
    place.chmod(0o755)  # PostgreSQL runs as another user
    console, told = Console(stderr=True), list[Found]()

    async def each() -> None:
        with postgres_server(place / "postgres") as postgres:
            for fault in FAULTS:
                if not only or fault.name in only:
                    console.print(f"{fault.name}: {fault.says} …")
                    told.append(await run(fault, place, postgres, short=short))
                    console.print(f"{fault.name}: {'holds' if told[-1].holds else 'DOES NOT HOLD'}")

    try:
        asyncio.run(each())
    finally:
        shutil.rmtree(place, ignore_errors=True)
    if as_json:
        print(msgspec.json.format(msgspec.json.encode([as_dict(found) for found in told])).decode())
    else:
        Console(width=150).print(table(told))
    if not all(found.holds for found in told):
        raise typer.Exit(1)


def as_dict(found: Found) -> dict[str, object]:
    """With the verdicts."""
    return {
        **msgspec.to_builtins(found),
        "holds": found.holds,
        "checks": {
            one.name: {"value": one.value, "limit": one.limit, "holds": one.holds} for one in found.checks
        },
    }


def table(told: list[Found]) -> Table:
    """A line per fault."""
    made = Table(
        "fault", "s", "queries", "failed", "added p50/p90/p99, s", "lost, twice", "holds", "what does not"
    )
    for found in told:
        value = {one.name: one.value for one in found.checks}
        lost = f"{value['rows lost'] + value['outcomes lost']:g}, {value['rows twice'] + value['outcomes twice']:g}"
        broken = "; ".join(
            f"{one.name} {one.value:g} > {one.limit:g}" for one in found.checks if not one.holds
        )
        said = "; ".join([*found.said, *found.problems])[:200] if broken else ""
        made.add_row(
            *(found.name, f"{found.seconds:g}", f"{found.queries:,}", f"{value['failed']:g}"),
            *(" / ".join(f"{added:.2f}" for added in found.added_s), lost, "yes" if found.holds else "NO"),
            f"{broken} {said}".strip(),
        )
    return made


if __name__ == "__main__":
    typer.run(chaos)
