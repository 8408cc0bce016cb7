"""The recording's folder on disk: column types, checks, checksums, atomic writing.

`queries.parquet`, `samples.parquet` and `meta.json`; columns that are not named here are kept as they are.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from router.errors import RecordingError
from router.recordings.cost import Prices

QUERIES = "queries.parquet"
SAMPLES = "samples.parquet"
META = "meta.json"
DEAREST = 1e9  # dollars per 1M tokens

# column -> (type, required); a column that is not required may be absent, or null in some rows
QUERY_COLUMNS = {
    "query_id": ("text", True),
    "query": ("text", True),
    "task": ("text", False),
    "gold": ("text", False),
}
SAMPLE_COLUMNS = {
    "query_id": ("text", True),
    "backend": ("text", True),
    "sample_idx": ("int32", True),
    "prefix_tokens": ("int32", False),
    "text": ("text", False),
    "answer": ("text", False),
    "reward": ("float", False),
    "tokens_in": ("int32", False),
    "tokens_out": ("int32", False),
    "chars_out": ("int32", False),
    "first_token_s": ("float", False),
    "latency_s": ("float", False),
    "finish_reason": ("text", False),
    "mean_logprob": ("float", False),
    "first_entropy": ("float", False),
    "confidence": ("float", False),
    "params": ("text", False),
    "hidden": ("vector", False),
}


@dataclass(frozen=True, slots=True)
class RecordingMeta:
    """What `meta.json` says; keys that are not named here are in `extra`."""

    name: str
    prices: Mapping[str, Prices]  # by backend, in the file's order
    source: str = ""
    licence: str = ""
    note: str = ""
    created: str = ""
    sha256: Mapping[str, str] = field(default_factory=dict)
    hidden: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The content of `meta.json`."""
        known: dict[str, Any] = {
            "name": self.name,
            "source": self.source,
            "licence": self.licence,
            "note": self.note,
            "created": self.created,
            "backends": {
                name: {"price_in": price.price_in, "price_out": price.price_out}
                for name, price in self.prices.items()
            },
            "sha256": dict(self.sha256),
        }
        if self.hidden:
            known["hidden"] = dict(self.hidden)
        return known | dict(self.extra)


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_meta(folder: Path) -> RecordingMeta:
    """Read and check `meta.json`; raise RecordingError naming the file and the key."""
    path = folder / META
    if not path.is_file():
        what = f"it has no {META}" if folder.is_dir() else "there is no such folder"
        raise RecordingError(f"{folder}: not a recording: {what}")
    try:
        data = json.loads(path.read_text("utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise RecordingError(f"{path}: not JSON: {error}") from error
    if not isinstance(data, dict):
        raise RecordingError(f"{path}: an object is expected, got {type(data).__name__}")
    rest = dict(data)
    texts: dict[str, str] = {}
    for key in ("name", "source", "licence", "note", "created"):
        value = rest.pop(key, folder.name if key == "name" else "")
        if not isinstance(value, str):
            raise RecordingError(f"{path}: {key}: text is expected, got {value!r}")
        texts[key] = value
    backends = rest.pop("backends", None)
    if not isinstance(backends, dict) or not backends:
        raise RecordingError(f"{path}: backends: an object of name -> price_in, price_out is expected")
    prices = {name: _prices(path, name, entry) for name, entry in backends.items()}
    sums, hidden = rest.pop("sha256", {}), rest.pop("hidden", {})
    if not isinstance(sums, dict) or not isinstance(hidden, dict):
        raise RecordingError(f"{path}: sha256 and hidden must be objects")
    return RecordingMeta(**texts, prices=prices, sha256=sums, hidden=hidden, extra=rest)


def _prices(path: Path, name: str, entry: object) -> Prices:
    if not name.isprintable():  # nor can half of a character be looked up in a table
        raise RecordingError(f"{path}: backends: {name!r} is no name; printable text is expected")
    where = f"{path}: backends.{name}"
    if not isinstance(entry, dict):
        raise RecordingError(f"{where}: an object with price_in and price_out is expected, got {entry!r}")
    found: list[float] = []
    for key in ("price_in", "price_out"):
        value = entry.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= DEAREST:
            raise RecordingError(
                f"{where}.{key}: dollars per 1M tokens >= 0 are expected (and at most {DEAREST:g}), got {value!r}"
            )
        found.append(float(value))
    return Prices(*found)


class ChangedRecording(UserWarning):
    """A file is not the one that `meta.json` describes: grown, regraded or blinded by another tool."""


def verify_checksums(folder: Path, meta: RecordingMeta) -> None:
    """Warn with `ChangedRecording` where a file's SHA-256 is not the one in `meta.json`.

    No error: blinding or grading with another tool changes the file, and what it holds is checked column by column.
    """
    for name in (QUERIES, SAMPLES):
        if name in meta.sha256 and (folder / name).is_file():
            found = sha256_of(folder / name)
            if found != meta.sha256[name]:
                warnings.warn(
                    f"{folder / name}: checksum mismatch: {META} says {meta.sha256[name]}, the file has {found}",
                    ChangedRecording,
                    stacklevel=3,
                )


def read_table(path: Path, columns: Mapping[str, tuple[str, bool]], skip: Sequence[str] = ()) -> Any:
    """Read a Parquet file as a `pyarrow.Table` with the named columns cast to their types.

    Raises RecordingError for a file that is missing or not Parquet, a required column that is absent or has
    nulls, and a column of the wrong type (all with file, column, what was found and what is expected).
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise RecordingError(f"{path}: the file is missing")
    try:
        wanted = [name for name in pq.read_schema(path).names if name not in skip]
        table = pq.read_table(path, columns=wanted)
        table.validate(full=True)  # texts are UTF-8, offsets lie within
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise RecordingError(f"{path}: cannot be read as Parquet: {error}") from error
    for name, (kind, required) in columns.items():
        if name not in table.column_names:
            if required:
                has = ", ".join(table.column_names)
                raise RecordingError(f"{path}: column {name!r} is missing; it has {has}")
            continue
        place = table.column_names.index(name)
        column = _cast(path, name, table.column(name), kind)
        if required and column.null_count:
            raise RecordingError(f"{path}: column {name!r} has {column.null_count} nulls; none are allowed")
        table = table.set_column(place, name, column)
    return table


def _cast(path: Path, name: str, column: Any, kind: str) -> Any:
    import pyarrow as pa

    types = pa.types
    found = column.type.value_type if types.is_dictionary(column.type) else column.type
    empty = types.is_null(found)
    number = types.is_integer(found) or types.is_floating(found)
    if kind == "text":
        fits = types.is_string(found) or types.is_large_string(found) or found == pa.string_view()
        target = pa.large_string()
    elif kind == "vector":
        fits = types.is_list(found) or types.is_large_list(found) or types.is_fixed_size_list(found)
        target = pa.list_(pa.float16())
    else:
        fits, target = number, pa.int32() if kind == "int32" else pa.float32()
    if not (fits or empty):
        raise RecordingError(f"{path}: column {name!r} has type {column.type}; expected {target}")
    if column.type == target:
        return column
    try:
        return column.cast(target, safe=kind != "float")
    except pa.ArrowException as error:
        raise RecordingError(f"{path}: column {name!r} does not fit {target}: {error}") from error


def write_recording(folder: Path, meta: RecordingMeta, queries: Any, samples: Any) -> RecordingMeta:
    """Write the folder from two `pyarrow.Table`s (zstd), `meta.json` last; return the meta with its checksums.

    Each file is written beside its place and moved, so that a reader never sees half a file. Columns are
    checked as in reading; unknown ones are kept.
    """
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    sums: dict[str, str] = {}
    for name, table, columns in (
        (QUERIES, queries, QUERY_COLUMNS),
        (SAMPLES, samples, SAMPLE_COLUMNS),
    ):
        draft = folder / f".{name}.draft"
        pq.write_table(table, draft, compression="zstd", compression_level=9)
        read_table(draft, columns)
        draft.replace(folder / name)
        sums[name] = sha256_of(folder / name)
    extra = {"name": meta.name, "sha256": sums}
    finished = meta.to_json() | extra
    draft = folder / f".{META}.draft"
    draft.write_text(json.dumps(finished, indent=1, ensure_ascii=False) + "\n", "utf-8")
    draft.replace(folder / META)
    return read_meta(folder)
