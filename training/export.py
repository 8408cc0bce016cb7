"""`apportion export`: what is new in a store, as Parquet by day."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer


def export(
    out: Annotated[str, typer.Option(help="A folder, or a URL that fsspec opens: s3://BUCKET/LOG, …")],
    store: Annotated[
        str,
        typer.Option(help="The decision store: a file, or postgresql://… Default: the configuration's."),
    ] = "",
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The configuration that names the store.")
    ] = Path("router.toml"),
    workers: Annotated[
        int, typer.Option(min=0, help="Processes. 0: one per core, as far as there is work for them.")
    ] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Write new decisions and outcomes of a store to partitioned Parquet; go on where the last export ended."""
    import msgspec
    from rich.console import Console
    from rich.progress import Progress

    from training.log.export import export_log

    if not store:
        from router.commands.store import address_of
        from router.configuration.file import load

        store = address_of(load(config), config.parent)
    with Progress(console=Console(stderr=True), transient=True, disable=json) as progress:
        task = progress.add_task("rows", total=None)
        done = export_log(
            store,
            out,
            now_s=time.time(),
            workers=workers or os.cpu_count() or 1,
            told=lambda behind, total: progress.update(task, completed=behind, total=total),
        )
    if json:
        print(msgspec.json.encode(asdict(done)).decode())
        return
    print(
        f"{out}: {done.decisions} decisions and {done.outcomes} outcomes more, "
        f"{done.total_decisions} and {done.total_outcomes} in all"
    )
    if done.spooled:
        print("rows lie beside the store and will be in the next export", file=sys.stderr)
    if done.unreadable:
        print(f"{done.unreadable} damaged rows and outcomes were left out: {store}", file=sys.stderr)
