"""States for the house traces: `python -m training.house_trace_states read`, then `… ship`.

What the model's value vectors were at every look: a trace is read again in one request per 16 looks, with a mark at
the last token of each. `read` appends to a journal in the user's cache and goes on where it was stopped; `ship` writes
the recording again, beside it, with the column `hidden` in its snapshots. Traces whose text is spelt by other tokens
than were generated have none.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from predictors.hidden_pieces import as_json
from predictors.observation import Piece
from predictors.vllm.options import VALUES
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
from training.collect.look_states import read_all, rows_read, traces_of
from training.errors import TrainingError
from training.house_traces import RECORDINGS, TRACES
from training.openai_samples import Server
from training.prompts import prompt_named
from training.vllm_cpu.models import MODELS
from training.vllm_cpu.places import cache_folder
from training.vllm_cpu.server import ServerOptions, VllmServer

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
OUT = RECORDINGS / "house-trace-states"
LAYERS = (12, 16, 20)  # of 24: a half, two thirds and five sixths of the depth
AT = "value_look"  # the part's name in `meta.json`: the value vectors of the last token before the look


def journal_path() -> Path:
    """Where `read` leaves what it read."""
    return cache_folder() / "collect" / "house-traces" / "states.jsonl"


def vectors_of(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, int, int], Any]:
    """(query id, sample_idx, prefix_tokens) -> float16 vector of all layers."""
    found: dict[tuple[str, int, int], Any] = {}
    for row in rows:
        if row["values"] is not None:
            each = np.frombuffer(b64decode(row["values"]), "<f2").reshape(len(row["places"]), -1)
            for place, vector in zip(row["places"], each, strict=True):
                found[row["query_id"], row["sample_idx"], place] = vector
    return found


@app.callback()
def states() -> None:
    """States for the house traces."""


@app.command()
def read(
    minutes: Annotated[float, typer.Option(min=0.1, help="at most")] = 600.0,
    threads: Annotated[int, typer.Option(min=0, help="of the server; 0: half of the cores")] = 0,
    recording: Annotated[Path, typer.Option(help="whose traces")] = RECORDINGS / TRACES.name,
) -> None:
    """Read the recorded traces again."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))  # so that the server goes with us
    folder = Path(f"/dev/shm/apportion-trace-states-{time.time_ns()}")  # noqa: S108 (memory, our own name)
    options = ServerOptions(
        nice=10,
        threads=threads,
        kv_cache_gib=1,
        block_tokens=32,
        start_s=900,
        layers=LAYERS,
        states={"folder": str(folder), "states": VALUES, "parts": ["answer_last"], "max_age_s": 120.0},
    )
    work = list(traces_of(Recording.load(recording), TRACES.backend))
    ends = time.monotonic() + 60 * minutes
    with VllmServer(TRACES.size, options) as running:
        prompt = prompt_named(TRACES.prompt)
        server = Server(TRACES.size, running.url, MODELS[TRACES.size].name, prompt=prompt, top_logprobs=0)
        count = asyncio.run(read_all(work, server, LAYERS, folder, journal_path(), ends))
    print(f"{count} traces read; {journal_path()}", file=sys.stderr)


@app.command()
def ship(
    recording: Annotated[Path, typer.Option(help="whose traces")] = RECORDINGS / TRACES.name,
    out: Annotated[Path, typer.Option(help="the recording that is written")] = OUT,
    journal: Annotated[Path | None, typer.Option(help="Default: in the user's cache.")] = None,
) -> None:
    """Write the recording beside it that has the states, in its snapshots."""
    import pyarrow as pa

    journal = journal or journal_path()
    rows = rows_read(journal)
    vectors = vectors_of(rows)
    if not vectors:
        raise TrainingError(f"{journal}: it has no states; run `read` first")
    samples = read_table(recording / SAMPLES, SAMPLE_COLUMNS)
    keys = zip(
        *(samples.column(n).to_pylist() for n in ("query_id", "sample_idx", "prefix_tokens")), strict=True
    )
    column = pa.array([vectors.get(key) for key in keys], pa.list_(pa.float16()))
    kept = [name for name in samples.column_names if name != "hidden"]
    meta = read_meta(recording)
    width = next(row["width"] for row in rows if row["values"] is not None)
    pieces = as_json([Piece(AT, layer, width) for layer in LAYERS])
    note = (
        "hidden: value vectors at every look, read again by the same model (training/house_trace_states.py)"
    )
    written = replace(
        meta, name=out.name, hidden={TRACES.backend: pieces}, extra={**meta.extra, "hidden_note": note}
    )
    queries = read_table(recording / QUERIES, QUERY_COLUMNS)
    write_recording(out, written, queries, samples.select(kept).append_column("hidden", column))
    print(f"{out}: {len(column) - column.null_count} looks with states", file=sys.stderr)


def main() -> None:
    """Run the command line."""
    try:
        app()
    except TrainingError as error:
        print(f"house-trace-states: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
