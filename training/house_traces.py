"""Make the recording of growing samples again: `make recording-traces`. One real model that works things out.

The larger of the two models works every question out and then checks its result, which makes texts of several steps
whose answer is often there long before their end. After every `EVERY` tokens it is asked for its answer. The kinds of
questions are those that it mostly gets right in several steps. Stopped in whatever way, the same command goes on.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from training.collect import collect_command
from training.collect_finish import finish
from training.collect_journal import Journal, Key
from training.collect_queries import CollectedQuery, read_queries
from training.errors import TrainingError
from training.grade import grade
from training.house import PRICES, provenance
from training.vllm_cpu.models import MODELS
from training.vllm_cpu.places import cache_folder
from training.vllm_cpu.server import ServerOptions, VllmServer
from training.workload.generate import workload, write_workload

SHIPPED = Path(__file__).parent / "recordings" / "house-traces"
SIZE, PROMPT, BACKEND = "large", "check", "large-check"
KINDS = ("sum", "difference", "product", "division", "larger", "shopping", "units", "code")
SEED, PER_KIND = 0, 64
MAX_TOKENS, EVERY = 448, 16


def backend_option(url: str) -> str:
    """The `--backend` of `apportion collect`."""
    price_in, price_out = PRICES[SIZE]
    options = {
        "model": MODELS[SIZE].name,
        "prompt": PROMPT,
        "max_tokens": MAX_TOKENS,
        "snapshots": EVERY,
        "price_in": price_in,
        "price_out": price_out,
        "samples": 1,
    }
    return f"{BACKEND}={url}," + ",".join(f"{key}={value}" for key, value in options.items())


def looked_at(folder: Path) -> set[Key]:
    """The samples of the journal of which no check-point is missing."""
    with Journal(folder) as journal:
        return journal.done - set(journal.growing)


def ship(folder: Path, queries: list[CollectedQuery], out: Path) -> None:
    """Write and grade what is complete."""
    complete = looked_at(folder)
    finish(
        folder,
        queries,
        name=out.name,
        licence="Apache-2.0",
        source="questions and golds: training/workload; answers: a model run by training/house_traces.py",
        note="every sample with the answers that it would have given on its way; timings of a busy 2-core machine; "
        "prices assumed",
        extra=provenance() | {"made_by": "make recording-traces"},
        out=out,
        wanted=lambda key: key in complete,
    )
    grade(out)
    size = sum(file.stat().st_size for file in out.iterdir()) / 1e6
    print(f"{out}: {len(complete)} samples, {size:.1f} MB", file=sys.stderr)


def house_traces(
    folder: Annotated[Path | None, typer.Option(help="Of the journal. Default: in the user's cache.")] = None,
    out: Annotated[Path, typer.Option(help="Of the recording.")] = SHIPPED,
    limit: Annotated[int, typer.Option(min=0, help="Only the first so many queries; 0: all.")] = 0,
    url: Annotated[str, typer.Option(help="A server that runs already, instead of our own.")] = "",
    finish_only: Annotated[
        bool, typer.Option("--finish-only", help="Write what has been collected.")
    ] = False,
) -> None:
    """Collect, write and grade the recording."""
    folder = folder or cache_folder() / "collect" / "house-traces"
    file = folder / "workload.jsonl"
    write_workload(file, workload(PER_KIND, SEED, KINDS))
    if not finish_only and url:
        collect(folder, file, url, limit)
    elif not finish_only:
        options = ServerOptions(threads=2, stream_interval=16, nice=10, block_tokens=32)
        with VllmServer(SIZE, options) as server:
            collect(folder, file, server.url, limit)
    ship(folder, read_queries(file), out)


def collect(folder: Path, file: Path, url: str, limit: int) -> None:
    """Draw what is missing."""
    collect_command(
        [backend_option(url)],
        queries=file,
        out=folder,
        limit=limit,
        seed=SEED,
        concurrency=48,
        retries=12,
        no_finish=True,
    )


def main() -> None:
    """Run the command by itself; a signal to end it ends the server that it started as well."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, leave)
    try:
        typer.run(house_traces)
    except TrainingError as error:
        print(f"house_traces: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
