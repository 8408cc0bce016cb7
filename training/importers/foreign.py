"""Rows of somebody else's CSV, JSONL or JSON file, each knowing its file and line, with checked access to its cells."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    """The rows of a CSV file with a header; the line is that on which the row ends."""
    csv.field_size_limit(LONGEST_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter=delimiter, strict=True)
            for cells in reader:
                where = f"{path}:{reader.line_num}"
                if None in cells:
                    raise TrainingError(f"{where}: more cells than the header has columns")
                yield Row(where, cells)
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise TrainingError(f"{path}: not readable as CSV: {error}") from error


def jsonl_rows(path: Path) -> Iterator[Row]:
    """The rows of a file with one JSON object per line; blank lines are left out."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield object_row(f"{path}:{number}", _json(f"{path}:{number}", line))
    except (UnicodeDecodeError, OSError) as error:
        raise TrainingError(f"{path}: not readable as JSON lines: {error}") from error


def json_file(path: Path) -> Any:
    """The content of a JSON file."""
    try:
        return _json(str(path), path.read_text("utf-8-sig"))
    except (UnicodeDecodeError, OSError) as error:
        raise TrainingError(f"{path}: not readable as JSON: {error}") from error


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
