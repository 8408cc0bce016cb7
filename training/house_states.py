"""Hidden states for the house recording's small model: `python -m training.house_states read`, then `… ship`.

The recorded samples are read again by the same model on vLLM with our connector (`training.collect.reread`), all layers
that may be of use into a journal in the user's cache; what ships is a part of it. Stopped in whatever way, `read` goes
on where it was.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from predictors.vllm.options import HIDDEN, STATES, VALUES
from router.recording import Recording
from router.recordings.format import (
    QUERIES,
    QUERY_COLUMNS,
    SAMPLE_COLUMNS,
    SAMPLES,
    read_meta,
    read_table,
    write_recording,
)
from training.attach_states import attach_states, read_vectors
from training.collect.reread import recorded_samples, reread
from training.errors import TrainingError
from training.house import SHIPPED
from training.openai_samples import Server
from training.prompts import prompt_named
from training.vllm_cpu.models import MODELS
from training.vllm_cpu.places import cache_folder
from training.vllm_cpu.server import ServerOptions, VllmServer

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
# of 30; value vectors of block 29 are the last
LAYERS = {HIDDEN: (10, 15, 20, 25, 30), VALUES: (5, 10, 15, 20, 25, 29)}
OUT = SHIPPED.with_name("house-states")
PIECES = "prompt_last@20,answer_mean@20"  # as good as any two of what is read
NOTE = "hidden: prompt and recorded answer read again by the same model on vLLM (training/house_states.py)"
PARTS = ("prompt_last", "answer_last", "answer_mean")


def journal_path(states: str = HIDDEN) -> Path:
    """Where `read` leaves what it read."""
    return (
        cache_folder()
        / "collect"
        / "house-states"
        / ("small.jsonl" if states == HIDDEN else f"small-{states}.jsonl")
    )


@app.callback()
def states() -> None:
    """Hidden states for the house recording's small model."""


@app.command()
def read(
    queries: Annotated[int, typer.Option(min=0, help="the first so many; 0: all")] = 0,
    samples: Annotated[int, typer.Option(min=1)] = 4,
    minutes: Annotated[float, typer.Option(min=0.1, help="at most")] = 600.0,
    threads: Annotated[int, typer.Option(min=0, help="of the server; 0: half of the cores")] = 0,
    kind: Annotated[str, typer.Option("--states", help=" or ".join(STATES))] = HIDDEN,
) -> None:
    """Read the recorded samples of the small model again."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))  # so that the server goes with us
    folder = Path(f"/dev/shm/apportion-house-states-{time.time_ns()}")  # noqa: S108 (memory, our own name)
    states = {"folder": str(folder), "states": kind, "parts": list(PARTS), "max_age_s": 120.0}
    options = ServerOptions(
        nice=5,
        threads=threads,
        kv_cache_gib=1,
        block_tokens=32,
        start_s=900,
        layers=LAYERS[kind],
        states=states,
    )
    work = list(recorded_samples(Recording.load(SHIPPED), "small", samples, queries))
    ends = time.monotonic() + 60 * minutes
    with VllmServer("small", options) as running:
        prompt = prompt_named("direct")
        server = Server("small", running.url, MODELS["small"].name, prompt=prompt, top_logprobs=0)
        started = time.monotonic()

        def told(done: int) -> bool:
            if done % 20 == 0:
                print(f"{done} queries in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
            return time.monotonic() < ends

        count = asyncio.run(reread(work, server, folder, journal_path(kind), on_query=told))
    print(f"{count} samples read; {journal_path(kind)}", file=sys.stderr)


@app.command()
def ship(
    out: Annotated[Path, typer.Option(help="the recording that is written")] = OUT,
    pieces: Annotated[str, typer.Option(help="PART@LAYER, with commas")] = PIECES,
    samples: Annotated[int, typer.Option(min=1, help="of each model, per query")] = 4,
    kind: Annotated[str, typer.Option("--states", help="which were read")] = HIDDEN,
) -> None:
    """Write the recording beside the house's: its queries that were read, with the states of the small model."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = [(part, int(layer)) for part, _, layer in (piece.partition("@") for piece in pieces.split(","))]
    vectors, found = read_vectors(journal_path(kind), wanted)
    read = Counter(query_id for query_id, index in vectors if index < samples)
    kept = pa.array([query_id for query_id, count in read.items() if count == samples], pa.large_string())
    queries, rows = (
        read_table(SHIPPED / QUERIES, QUERY_COLUMNS),
        read_table(SHIPPED / SAMPLES, SAMPLE_COLUMNS),
    )
    few = pc.less(rows.column("sample_idx"), samples)
    rows = rows.filter(pc.and_(few, pc.is_in(rows.column("query_id"), value_set=kept)))
    queries = queries.filter(pc.is_in(queries.column("query_id"), value_set=kept))
    write_recording(out, replace(read_meta(SHIPPED), name=out.name), queries, rows)
    attach_states(out, "small", vectors, found, NOTE)
    size = sum(file.stat().st_size for file in out.iterdir()) / 1e6
    print(f"{out}: {len(queries)} queries, {size:.1f} MB", file=sys.stderr)


def main() -> None:
    """Run the command line."""
    try:
        app()
    except TrainingError as error:
        print(f"house-states: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
