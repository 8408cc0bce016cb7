"""States that were read again become the `hidden` column of their recording; nothing else in it changes."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from predictors.hidden_pieces import as_json, picked
from predictors.observation import Piece
from router.recordings.format import (
    QUERIES,
    QUERY_COLUMNS,
    SAMPLE_COLUMNS,
    SAMPLES,
    RecordingMeta,
    read_meta,
    read_table,
    write_recording,
)
from training.errors import TrainingError


def read_vectors(
    journal: Path, wanted: Sequence[tuple[str, int]]
) -> tuple[dict[tuple[str, int], Any], tuple[Piece, ...]]:
    """(query id, sample_idx) -> float16 vector of the wanted (part, layer) pieces in their order; and the pieces."""
    found: dict[tuple[str, int], Any] = {}
    want: tuple[Piece, ...] = ()
    with journal.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            have = tuple(Piece(part, layer, row["width"]) for part, layer in row["pieces"])
            want = tuple(Piece(part, layer, row["width"]) for part, layer in wanted)
            vector = picked(np.frombuffer(b64decode(row["values"]), "<f2"), have, want)
            if vector is None:
                raise TrainingError(f"{journal}: it has {have}, not {want}")
            found[row["query_id"], row["sample_idx"]] = vector.astype(np.float16)
    if not found:
        raise TrainingError(f"{journal}: it has no states")
    return found, want


def attach_states(
    folder: Path,
    backend: str,
    vectors: Mapping[tuple[str, int], Any],
    pieces: Sequence[Piece],
    note: str,
) -> RecordingMeta:
    """Write the recording in `folder` again with the vectors on the finished samples of `backend`.

    Samples without a vector have null; states of other backends stay. `note` goes into `meta.json` as `hidden_note`.
    """
    import pyarrow as pa

    meta = read_meta(folder)
    queries, samples = (
        read_table(folder / QUERIES, QUERY_COLUMNS),
        read_table(folder / SAMPLES, SAMPLE_COLUMNS),
    )
    if backend not in meta.prices:
        raise TrainingError(f"{folder}: no backend {backend!r}; choose from {', '.join(meta.prices)}")
    names = samples.column("backend").to_pylist()
    before = samples.column("hidden").to_pylist() if "hidden" in samples.column_names else [None] * len(names)
    growing = (
        samples.column("prefix_tokens").to_pylist()
        if "prefix_tokens" in samples.column_names
        else [None] * len(names)
    )
    keys = zip(samples.column("query_id").to_pylist(), samples.column("sample_idx").to_pylist(), strict=True)
    cells = [
        vectors.get(key) if name == backend and prefix is None else own
        for key, name, prefix, own in zip(keys, names, growing, before, strict=True)
    ]
    if not any(cell is not None for cell in cells):
        raise TrainingError(f"{folder}: none of its samples of {backend!r} has a state")
    column = pa.array(cells, pa.list_(pa.float16()))
    if "hidden" in samples.column_names:
        samples = samples.set_column(samples.column_names.index("hidden"), "hidden", column)
    else:
        samples = samples.append_column("hidden", column)
    hidden = {**meta.hidden, backend: as_json(pieces)}
    written = replace(meta, hidden=hidden, extra={**meta.extra, "hidden_note": note})
    return write_recording(folder, written, queries, samples)
