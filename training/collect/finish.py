"""From the journal to the recording's folder: the same rows in the same order, however they were drawn."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from router.recordings.cost import Prices
from router.recordings.format import RecordingMeta, write_recording
from training.collect.journal import Key, key_of, read_rows
from training.collect.queries import CollectedQuery
from training.collect.states import hidden_column
from training.errors import NotEnoughData, TrainingError

TEXTS = ("query_id", "backend", "text", "finish_reason", "params", "answer", "tentative")
OF_SNAPSHOTS = ("prefix_tokens", "answer", "tentative", "confidence")  # columns where there are snapshots
INTS = ("sample_idx", "prefix_tokens", "tokens_in", "tokens_out")
FLOATS = ("first_token_s", "latency_s", "mean_logprob", "first_entropy", "confidence")
ORDER = (
    *(
        "query_id",
        "backend",
        "sample_idx",
        "prefix_tokens",
        "text",
        "tokens_in",
        "tokens_out",
        "first_token_s",
    ),
    *(
        "latency_s",
        "mean_logprob",
        "first_entropy",
        "finish_reason",
        "params",
        "answer",
        "tentative",
        "confidence",
    ),
)


def finish(
    folder: Path,
    queries: Sequence[CollectedQuery],
    *,
    name: str,
    licence: str = "",
    source: str = "",
    note: str = "",
    created: str = "",
    extra: Mapping[str, Any] | None = None,
    out: Path | None = None,
    wanted: Callable[[Key], bool] = lambda _: True,
) -> RecordingMeta:
    """Write queries.parquet, samples.parquet and meta.json from the journal, beside it or in `out`.

    Only samples that are `wanted` enter, with their snapshots, and queries of which nothing was drawn do not. Rows
    are sorted by query (the file's order), backend (the order in which they were first collected), index and
    prefix, a finished sample before its snapshots. Raises NotEnoughData where nothing is left.
    """
    import pyarrow as pa

    run = json.loads((folder / "run.json").read_text("utf-8"))
    place = {query.query_id: number for number, query in enumerate(queries)}
    order = {backend: number for number, backend in enumerate(run["backends"])}
    rows = [row for row in read_rows(folder / "journal.jsonl") if wanted(key_of(row))]
    if not rows:
        raise NotEnoughData(f"{folder}: the journal has nothing for the recording")
    for row in rows:
        if row["query_id"] not in place:
            raise TrainingError(
                f"{folder}: the journal has query {row['query_id']!r}, the query file does not"
            )
    rows.sort(
        key=lambda row: (
            place[row["query_id"]],
            order[row["backend"]],
            row["sample_idx"],
            row.get("prefix_tokens", -1),
        )
    )
    looked = any("prefix_tokens" in row for row in rows)
    drawn = {row["query_id"] for row in rows}
    kept = [query for query in queries if query.query_id in drawn]
    samples = pa.table(
        {
            column: pa.array([row.get(column) for row in rows], kind)
            for column, kind in _sample_types(pa).items()
            if looked or column not in OF_SNAPSHOTS
        }
    )
    states, hidden = hidden_column(pa, rows)
    if states is not None:
        samples = samples.append_column("hidden", states)
    drawn_of = {row["backend"] for row in rows}
    backends = {backend: entry for backend, entry in run["backends"].items() if backend in drawn_of}
    prices = {name: Prices(entry["price_in"], entry["price_out"]) for name, entry in backends.items()}
    meta = RecordingMeta(
        name=name,
        prices=prices,
        source=source,
        licence=licence,
        note=note,
        hidden=hidden,
        created=created or dt.datetime.now(dt.UTC).date().isoformat(),
        extra={"seed": run["seed"], "collected": backends, **(extra or {})},
    )
    return write_recording(out or folder, meta, _query_table(pa, kept), samples)


def _sample_types(pa: Any) -> dict[str, Any]:
    texts = dict.fromkeys(TEXTS, pa.large_string())
    numbers = dict.fromkeys(INTS, pa.int32()) | dict.fromkeys(FLOATS, pa.float32())
    known = texts | numbers
    return {column: known[column] for column in ORDER}


def _query_table(pa: Any, queries: Sequence[CollectedQuery]) -> Any:
    columns: dict[str, Any] = {
        "query_id": pa.array([query.query_id for query in queries], pa.large_string()),
        "query": pa.array([query.query for query in queries], pa.large_string()),
        "task": pa.array([query.task for query in queries], pa.large_string()),
        "gold": pa.array([query.gold for query in queries], pa.large_string()),
    }
    for name in sorted({name for query in queries for name in query.extra} - set(columns)):
        columns[name] = pa.array([query.extra.get(name) for query in queries])
    return pa.table(columns)
