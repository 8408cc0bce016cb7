"""The query file of `collect`: JSON lines, CSV or Parquet with `query` and, where known, `query_id`, `task`, `gold`."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from training.errors import TrainingError

FORMATS = (".jsonl", ".csv", ".parquet")
READ = "query, and where known query_id, task and gold are read"


@dataclass(frozen=True, slots=True)
class CollectedQuery:
    """One query to be asked; `extra` are the file's other columns, kept in the recording."""

    query_id: str
    query: str
    task: str | None = None
    gold: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


def read_queries(path: Path) -> list[CollectedQuery]:
    """Read and check a query file; a query without an id is named by its text's hash."""
    if path.suffix not in FORMATS:
        raise TrainingError(f"{path}: unknown format {path.suffix!r}; choose from {', '.join(FORMATS)}")
    if not path.is_file():
        raise TrainingError(f"{path}: there is no such file")
    found: list[CollectedQuery] = []
    places: dict[str, int] = {}  # query_id -> row
    again: list[tuple[int, str]] = []  # rows that have the query_id of an earlier one
    try:
        for number, row in enumerate(_rows(path), 1):
            query = _query(f"{path}: row {number}", row)
            if places.setdefault(query.query_id, number) != number:
                again.append((number, query.query_id))
            found.append(query)
    except UnicodeDecodeError as error:
        raise TrainingError(f"{path}: is not UTF-8: byte 0x{error.object[error.start]:02x}") from error
    if again:
        number, name = again[0]
        others = f" (and so do {len(again) - 1} more rows)" if len(again) > 1 else ""
        raise TrainingError(
            f"{path}: row {number} has the query_id {name!r} of row {places[name]}{others}; a query without one "
            "is named by its text: leave repeated ones out, or give each a query_id"
        )
    if not found:
        raise TrainingError(f"{path}: it has no queries")
    return found


def unread(queries: Sequence[CollectedQuery]) -> str:
    """Where no query has a gold: the columns that it may stand in under another name, in words, else nothing."""
    others = sorted({name for query in queries for name in query.extra})
    if not others or any(query.gold is not None for query in queries):
        return ""
    return (
        f"no query has a `gold`; {', '.join(map(str, others))}: kept with the queries, but not read ({READ})"
    )


def _query(where: str, row: object) -> CollectedQuery:
    if not isinstance(row, dict):
        raise TrainingError(f"{where}: an object is expected, got {type(row).__name__}")
    rest = dict(row)
    if "query" not in rest:
        raise TrainingError(
            f"{where}: there is no `query` in it; it has {', '.join(map(str, rest)) or 'nothing'} ({READ})"
        )
    text = rest.pop("query")
    if not isinstance(text, str) or not text.strip():
        raise TrainingError(f"{where}: `query` must be a text that is not empty, got {text!r}")
    query_id = (
        rest.pop("query_id", None) or blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()
    )
    task, gold = rest.pop("task", None), rest.pop("gold", None)
    return CollectedQuery(
        query_id=str(query_id),
        query=text,
        task=None if task in (None, "") else str(task),
        gold=None if gold in (None, "") else str(gold),
        extra=rest,
    )


def _rows(path: Path) -> Iterable[object]:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        yield from pq.read_table(path).to_pylist()
    elif path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield from csv.DictReader(file)
    else:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    try:
                        yield json.loads(line)
                    except ValueError as error:
                        raise TrainingError(f"{path}: line {number} is not JSON: {error}") from error
