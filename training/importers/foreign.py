"""Rows of somebody else's CSV, JSONL or JSON file, each knowing its file and line, with checked access to its cells.

A file may be compressed by gzip, whatever its name says, and begin with a byte order mark.
"""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from training.errors import TrainingError

LONGEST_CELL = 1 << 27  # characters; a whole answer may stand in one cell


@dataclass(frozen=True, slots=True)
class Row:
    """One row; `where` names the file and the line in messages. A cell that is empty or null is not there."""

    where: str
    cells: Mapping[str, Any]

    def text(self, column: str) -> str:
        """A cell that must be there, as text."""
        found = self.maybe_text(column)
        if found is None:
            raise self.wrong(
                column, "is missing or empty", f"columns here: {', '.join(map(str, self.cells))}"
            )
        return found

    def maybe_text(self, column: str) -> str | None:
        """A cell as text, or None."""
        value = self.cells.get(column)
        if value is None or value == "":
            return None
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        # JSON may hold lone surrogates
        return text if text.isascii() else text.encode("utf-8", "replace").decode()

    def maybe_number(
        self, column: str, least: float = float("-inf"), most: float = float("inf")
    ) -> float | None:
        """A number in [least, most], or None; true and false count as 1 and 0."""
        value = self.cells.get(column)
        if value is None or value == "":
            return None
        truth = {"true": 1.0, "false": 0.0}.get(str(value).strip().lower())
        try:
            number = float(value) if truth is None else truth
        except (TypeError, ValueError, OverflowError):
            raise self.wrong(column, f"is no number: {str(value)[:80]!r}") from None
        if not least <= number <= most or abs(number) == float("inf"):
            raise self.wrong(column, f"must be in [{least:g}, {most:g}], got {number:g}")
        return number

    def maybe_count(self, column: str) -> int | None:
        """A whole number >= 0, or None."""
        number = self.maybe_number(column, 0, 2**31 - 1)
        if number is not None and number != int(number):
            raise self.wrong(column, f"must be whole, got {number:g}")
        return None if number is None else int(number)

    def wrong(self, column: str, what: str, more: str = "") -> TrainingError:
        """The error that names file, line and column."""
        return TrainingError(f"{self.where}: column {column!r} {what}" + (f"; {more}" if more else ""))


def csv_rows(path: Path, delimiter: str = ",") -> Iterator[Row]:
    r"""The rows of a CSV file with a header that are not empty; the line is that on which the row ends.

    A delimiter is one character, or `\t`. Raises `TrainingError` where a name stands twice, or a row is longer
    or shorter than the header.
    """
    csv.field_size_limit(LONGEST_CELL)
    delimiter = delimiter.replace("\\t", "\t")
    if len(delimiter) != 1 or delimiter in '\r\n"':
        raise TrainingError(
            f"delimiter: one character is expected, or \\t for a tabulator, got {delimiter!r}"
        )
    with _opened(path, "CSV") as file:
        reader = csv.DictReader(file, delimiter=delimiter, strict=True)
        try:
            names = Counter(reader.fieldnames or ())
            twice = [name for name, times in names.items() if name and times > 1]
            if twice:
                raise TrainingError(
                    f"{path}: column {twice[0]!r} stands twice in the header: which is meant?"
                )
            for cells in reader:
                where = f"{path}:{reader.line_num}"
                if None in cells:
                    raise TrainingError(f"{where}: more cells than the header has columns")
                if None in cells.values():
                    raise TrainingError(
                        f"{where}: fewer cells than the header has columns: is the file whole?"
                    )
                if any(cells.values()):  # tables end in rows of commas
                    yield Row(where, cells)
        except csv.Error as error:
            raise TrainingError(f"{path}: not readable as CSV: {error}") from error


def jsonl_rows(path: Path) -> Iterator[Row]:
    """The rows of a file with one JSON object per line; blank lines are left out."""
    with _opened(path, "JSON lines") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield object_row(f"{path}:{number}", _json(f"{path}:{number}", line))


def json_file(path: Path) -> Any:
    """The content of a JSON file."""
    with _opened(path, "JSON") as file:
        return _json(str(path), file.read())


def object_row(where: str, value: Any) -> Row:
    """A JSON object as a row."""
    if not isinstance(value, dict):
        raise TrainingError(f"{where}: an object is expected, got {type(value).__name__}")
    return Row(where, value)


def find_file(source: Path, *places: str) -> Path:
    """The file itself, or the first of the places below a folder that is there."""
    if source.is_file():
        return source
    for place in places:
        if (source / place).is_file():
            return source / place
    raise TrainingError(f"{source}: no such file, and none of {', '.join(places)} below it")


def _json(where: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TrainingError(f"{where}: not JSON: {error}") from error


@contextmanager
def _opened(path: Path, kind: str) -> Iterator[IO[str]]:
    """The file as text. Lines end as they do in the file, which `csv` asks for; JSON minds them nowhere."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with (gzip.open if packed else open)(path, "rt", encoding="utf-8-sig", newline="") as file:
            yield file
    except UnicodeDecodeError as error:
        raise TrainingError(f"{path}: not readable as {kind}: no UTF-8: {error}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise TrainingError(f"{path}: not readable as {kind}: {error}") from error
