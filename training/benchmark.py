"""`training benchmark SUITE`: run a suite over recordings; figures as JSON or a table, decisions as Parquet."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from training.benchmark_table import print_tables
from training.progress import shown_progress
from training.run_suite import run_suite, to_json
from training.suites import SUITES, Run


def benchmark(
    suite: Annotated[str, typer.Argument(help=f"One of: {', '.join(SUITES)}.")],
    recording: Annotated[
        list[Path] | None, typer.Option(help="Folder of a recording; repeat for several.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The first seed.")] = 0,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, counted up from the first.")] = 1,
    decisions: Annotated[Path | None, typer.Option(help="Write every decision to this Parquet file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write pictures into this folder.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """Measure how well it decides, on recordings, next to every simple way to decide."""
    run = Run(seed=seed, seeds=seeds, plots=plot, workers=workers)
    with shown_progress() as progress:
        found = run_suite(suite, recording or [], replace(run, progress=progress), decisions)
    if as_json:
        print(json.dumps(to_json(found), allow_nan=False))
    else:
        print_tables(suite, found)
