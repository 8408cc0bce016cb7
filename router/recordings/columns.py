"""From the sample table's file order to sorted, indexed numpy columns, with every row checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router.errors import RecordingError

FLOATS = (
    "prefix_tokens",
    "reward",
    "tokens_in",
    "tokens_out",
    "chars_out",
    "first_token_s",
    "latency_s",
    "mean_logprob",
    "first_entropy",
    "confidence",
)
AT_LEAST_ZERO = (
    "prefix_tokens",
    "tokens_in",
    "tokens_out",
    "chars_out",
    "first_token_s",
    "latency_s",
)
SHARES = ("reward", "confidence")


@dataclass(frozen=True, slots=True)
class Arranged:
    """Sorted rows; arrays of shape (rows,) unless said otherwise."""

    order: NDArray[np.int64]  # sorted row -> row of the file
    query: NDArray[np.int32]
    backend: NDArray[np.int16]
    sample_idx: NDArray[np.int32]
    finished: NDArray[np.bool_]
    answer: NDArray[np.int32]
    answers: tuple[str, ...]
    floats: Mapping[str, NDArray[np.float64]]  # NaN: null
    text_chars: NDArray[np.float64]  # NaN: no text
    starts: NDArray[np.int64]  # (queries × backends + 1,)
    snapshots_from: NDArray[np.int64]  # (queries × backends,)


def arrange(path: Path, samples: Any, queries: Any, backends: tuple[str, ...]) -> Arranged:
    """Check every row against the queries, the backends and the ranges; sort; index by (query, backend)."""
    import pyarrow.compute as pc

    query = _places(path, samples, "query_id", queries.column("query_id"), "queries.parquet")
    backend = _places(path, samples, "backend", list(backends), "backends of meta.json")
    sample_idx = samples.column("sample_idx").to_numpy()
    if len(sample_idx) and sample_idx.min() < 0:
        raise RecordingError(f"{path}: column 'sample_idx' has {sample_idx.min()}; expected >= 0")
    floats = {name: _floats(samples, name) for name in FLOATS}
    for name in FLOATS:
        _check_range(path, name, floats[name])
    prefix = floats["prefix_tokens"]
    finished = np.isnan(prefix)
    order = np.lexsort((np.nan_to_num(prefix), sample_idx, ~finished, backend, query))
    cell = (query.astype(np.int64) * len(backends) + backend)[order]
    _check_twice(
        path,
        samples,
        order,
        (cell, sample_idx[order], np.nan_to_num(prefix, nan=-1.0)[order]),
    )
    cells = np.arange(queries.num_rows * len(backends) + 1)
    starts = np.searchsorted(cell, cells)
    done = np.concatenate(([0], np.cumsum(finished[order])))
    answer, answers = _codes(samples, "answer")
    text_chars = np.full(samples.num_rows, np.nan)
    if "text" in samples.column_names:
        text_chars = _as_float(pc.utf8_length(samples.column("text")))
    return Arranged(
        order=order,
        query=query[order].astype(np.int32),
        backend=backend[order].astype(np.int16),
        sample_idx=sample_idx[order].astype(np.int32),
        finished=finished[order],
        answer=answer[order],
        answers=answers,
        floats={name: values[order] for name, values in floats.items()},
        text_chars=text_chars[order],
        starts=starts,
        snapshots_from=starts[:-1] + done[starts[1:]] - done[starts[:-1]],
    )


def _places(path: Path, samples: Any, name: str, known: Any, where: str) -> NDArray[np.int64]:
    """Index of every row's value among the known ones."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = pa.array(known, pa.large_string()) if isinstance(known, list) else known.combine_chunks()
    found = pc.index_in(samples.column(name), value_set=values)
    if found.null_count:
        first = samples.column(name).filter(pc.is_null(found))[0].as_py()
        choices = ", ".join(known) if isinstance(known, list) else f"{len(values)} ids"
        raise RecordingError(f"{path}: column {name!r} has {first!r}, which is not in {where} ({choices})")
    places: NDArray[np.int64] = found.to_numpy().astype(np.int64)
    return places


def _as_float(column: Any) -> NDArray[np.float64]:
    import pyarrow as pa
    import pyarrow.compute as pc

    values: NDArray[np.float64] = pc.fill_null(column.cast(pa.float64()), float("nan")).to_numpy()
    return values


def _floats(samples: Any, name: str) -> NDArray[np.float64]:
    if name not in samples.column_names:
        return np.full(samples.num_rows, np.nan)
    return _as_float(samples.column(name))


def _check_range(path: Path, name: str, values: NDArray[np.float64]) -> None:
    bad, expected = np.isinf(values), "a finite number"
    if name in SHARES:
        bad, expected = bad | (values < 0) | (values > 1), "a number in [0, 1] or null"
    elif name in AT_LEAST_ZERO:
        bad, expected = bad | (values < 0), "a finite number >= 0 or null"
    if bad.any():
        row = int(np.argmax(bad))
        raise RecordingError(f"{path}: column {name!r} has {values[row]:g} in row {row}; expected {expected}")


def _check_twice(path: Path, samples: Any, order: NDArray[np.int64], keys: tuple[NDArray[Any], ...]) -> None:
    same = np.ones(max(len(order) - 1, 0), dtype=bool)
    for key in keys:
        same &= key[1:] == key[:-1]
    if same.any():
        row = int(order[int(np.argmax(same))])
        named = ("query_id", "backend", "sample_idx", "prefix_tokens")
        who = {name: samples.column(name)[row].as_py() for name in named if name in samples.column_names}
        raise RecordingError(f"{path}: this sample occurs more than once: {who}")


def _codes(samples: Any, name: str) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """A text column as codes into its distinct values; -1: null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if name not in samples.column_names:
        return np.full(samples.num_rows, -1, dtype=np.int32), ()
    coded = pc.dictionary_encode(samples.column(name)).combine_chunks()
    if isinstance(coded, pa.ChunkedArray):  # no rows, no chunk
        return np.full(samples.num_rows, -1, dtype=np.int32), ()
    codes = pc.fill_null(coded.indices, -1).to_numpy().astype(np.int32)
    return codes, tuple(coded.dictionary.to_pylist())
