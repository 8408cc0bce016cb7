"""`apportion import`: somebody else's outcome data becomes a recording."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from router.plugins import resolve
from router.recordings.cost import Prices
from router.recordings.format import DEAREST, QUERY_COLUMNS, SAMPLE_COLUMNS, RecordingMeta, write_recording
from training.errors import TrainingError
from training.importers import IMPORTERS, Importer
from training.importers.rows import ImportedRows

UNKNOWN_PRICE = Prices(1.0, 1.0)  # $ per 1M tokens, of a backend whose price nobody stated: all equal


def import_recording(
    kind: Annotated[str, typer.Argument(metavar="FORMAT", help=f"One of {', '.join(IMPORTERS)}.")],
    source: Annotated[Path, typer.Argument(help="The file or folder to read.")],
    out: Annotated[Path, typer.Option(help="The recording's folder; must not exist, or be empty.")],
    price: Annotated[
        list[str] | None, typer.Option(metavar="NAME=IN,OUT", help="$ per 1M tokens of one backend; repeat.")
    ] = None,
    rename: Annotated[
        list[str] | None, typer.Option(metavar="THEIRS=OURS", help="Another name for a backend; repeat.")
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option(metavar="OURS=THEIRS", help="csv, jsonl: a column's name; repeat.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="An option of the format; repeat.")
    ] = None,
    licence: Annotated[str, typer.Option(help="What the data may be used under, for meta.json.")] = "",
) -> None:
    """Turn public or own outcome data into a recording."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise TrainingError(f"{out}: exists already; choose another --out")
    if not source.exists():
        raise TrainingError(f"{source}: no such file or folder")
    importer = configured(kind, pairs("--column", column), pairs("--option", option))
    rows = renamed(importer.read(source), pairs("--rename", rename))
    prices = prices_of(rows.backends, pairs("--price", price))
    if rows.unread:
        print(
            f"columns that were not read: {', '.join(rows.unread)}; --column OURS=THEIRS says what one is",
            file=sys.stderr,
        )
    meta = write(rows, out, prices, licence)
    print(
        f"{out}: {len(rows.queries)} queries, {len(rows.samples)} samples of {', '.join(meta.prices)}",
        file=sys.stderr,
    )


def configured(kind: str, columns: Mapping[str, str], options: Mapping[str, str]) -> Importer:
    """The importer of that name with options from the command line. Raises `TrainingError` naming the choices."""
    if kind not in IMPORTERS:
        raise TrainingError(f"unknown format {kind!r}; choose from {', '.join(IMPORTERS)}")
    importer: Any = resolve("importer", IMPORTERS, kind)()
    given: dict[str, Any] = {}
    known = {item.name: getattr(importer, item.name) for item in fields(importer)}
    if columns:
        if "columns" not in known:
            raise TrainingError(f"--column: the format {kind!r} has no columns to name")
        given["columns"] = dict(columns)
    scalars = {name: value for name, value in known.items() if isinstance(value, (bool, int, float, str))}
    for name, text in options.items():
        if name not in scalars:
            raise TrainingError(
                f"--option: {kind!r} has no {name!r}; choose from {', '.join(scalars) or 'none'}"
            )
        given[name] = _like(scalars[name], name, text)
    return replace(importer, **given)  # type: ignore[no-any-return]


def pairs(flag: str, given: Sequence[str] | None) -> dict[str, str]:
    """`KEY=VALUE` arguments as a mapping; the last `=` separates: a backend may have one in its name."""
    found: dict[str, str] = {}
    for text in given or ():
        key, separator, value = text.rpartition("=")
        if not separator or not key:
            raise TrainingError(f"{flag} {text!r}: expected KEY=VALUE")
        found[key] = value
    return found


def renamed(rows: ImportedRows, names: Mapping[str, str]) -> ImportedRows:
    """The rows with other names for some backends."""
    for name in names:
        if name not in rows.backends:
            raise TrainingError(f"--rename: no backend {name!r}; choose from {', '.join(rows.backends)}")
    samples = [replace(sample, backend=names.get(sample.backend, sample.backend)) for sample in rows.samples]
    return replace(rows, samples=samples) if names else rows


def prices_of(backends: Sequence[str], given: Mapping[str, str]) -> dict[str, Prices]:
    """The price of every backend; one that nobody stated is `UNKNOWN_PRICE`, and said so."""
    prices = dict.fromkeys(backends, UNKNOWN_PRICE)
    for name, text in given.items():
        if name not in prices:
            raise TrainingError(f"--price: no backend {name!r}; choose from {', '.join(backends)}")
        try:
            price_in, price_out = (float(part) for part in text.split(","))
        except ValueError:
            raise TrainingError(
                f"--price {name}={text}: expected two numbers, IN,OUT in $ per 1M tokens"
            ) from None
        if not (0 <= price_in <= DEAREST and 0 <= price_out <= DEAREST):
            raise TrainingError(f"--price {name}={text}: prices must be >= 0 and at most {DEAREST:g}")
        prices[name] = Prices(price_in, price_out)
    unknown = [name for name in backends if name not in given]
    if unknown:
        print(f"no --price for {', '.join(unknown)}: $1 per 1M tokens is assumed for each", file=sys.stderr)
    return prices


def write(rows: ImportedRows, out: Path, prices: Mapping[str, Prices], licence: str = "") -> RecordingMeta:
    """The recording's folder; columns that no row has are left out."""
    import pyarrow as pa

    types = {"text": pa.large_string(), "int32": pa.int32(), "float": pa.float32()}

    def table(records: Sequence[object], columns: Mapping[str, tuple[str, bool]]) -> pa.Table:
        arrays = {}
        for name, (kind, required) in columns.items():
            values = [_storable(getattr(record, name, None)) for record in records]
            if required or any(value is not None for value in values):
                arrays[name] = pa.array(values, types.get(kind))
        return pa.table(arrays)

    meta = RecordingMeta(
        name=out.resolve().name,
        prices=prices,
        source=rows.source,
        licence=licence or rows.licence,
        note=rows.note,
        created=datetime.now(UTC).date().isoformat(),
    )
    return write_recording(out, meta, table(rows.queries, QUERY_COLUMNS), table(rows.samples, SAMPLE_COLUMNS))


def _storable(value: object) -> object:
    # JSON may hold lone surrogates, Parquet may not
    return (
        value.encode("utf-8", "replace").decode() if isinstance(value, str) and not value.isascii() else value
    )


def _like(default: bool | float | str, name: str, text: str) -> bool | float | str:
    if isinstance(default, bool):
        if text not in {"true", "false"}:
            raise TrainingError(f"--option {name}={text}: expected true or false")
        return text == "true"
    try:
        return type(default)(text)
    except ValueError:
        raise TrainingError(f"--option {name}={text}: expected a number") from None
