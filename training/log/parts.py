"""One Parquet file of an export: written whole, read with what is wanted of it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from training.errors import TrainingError
from training.log.manifest import PartFile
from training.log.place import Place

ROW_GROUP = 25_000  # rows that are read together


def write_part(place: Place, path: str, kind: str, store: str, table: Any) -> PartFile:
    """Write one file."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", row_group_size=ROW_GROUP)
    place.write(path, buffer.getvalue())
    return PartFile(path=path, kind=kind, store=store, rows=table.num_rows, bytes=buffer.tell())


def read_part(place: Place, file: PartFile, schema: Any) -> Any:
    """The columns of `schema`; one that the file is too old to have is null. Raises `TrainingError`."""
    data = place.read(file.path)
    if data is None:
        raise TrainingError(f"{place.root}/{file.path}: it is in the manifest and not there")
    try:
        have = pq.ParquetFile(io.BytesIO(data))
        names: Sequence[str] = [name for name in schema.names if name in have.schema_arrow.names]
        part = have.read(names)
    except pa.ArrowException as error:
        raise TrainingError(f"{place.root}/{file.path}: {error}") from error
    arrays = [
        part[one.name].cast(one.type) if one.name in names else pa.nulls(part.num_rows, one.type)
        for one in schema
    ]
    return pa.table(arrays, schema=schema)
