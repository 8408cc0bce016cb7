"""What `collect` has drawn so far: an append-only file of JSON lines that survives `kill -9`.

A row that stands in it twice counts once. A sample's row says at which check-points it is to be looked at (`growth`);
each look is a row of its own, with `prefix_tokens`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from training.append_only import AppendOnlyLines
from training.errors import TrainingError

Key = tuple[str, str, int]
"""query_id, backend, sample_idx."""


def key_of(row: Mapping[str, Any]) -> Key:
    """What a row is a sample of."""
    return row["query_id"], row["backend"], row["sample_idx"]


Place = tuple[str, str, int, int | None]
"""The same and prefix_tokens: None for the finished sample."""


def place_of(row: Mapping[str, Any]) -> Place:
    """What a row is, among all rows."""
    return *key_of(row), row.get("prefix_tokens")


def text_mark(text: str) -> str:
    """A short hash of a query's text: a journal must not mix two texts under one id."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a journal in file order, first of equals only, a torn last line left out."""
    seen: set[Place] = set()
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                row = json.loads(line)
                place = place_of(row)
            except (ValueError, KeyError, TypeError) as error:
                raise TrainingError(f"{path}: line {number} is not a journal's row: {line[:80]!r}") from error
            if place not in seen:
                seen.add(place)
                yield row


class Journal(AppendOnlyLines):
    """The open journal of one collection.

    `done` holds the samples that need not be drawn again, `growing` the rows of those with check-points to look at.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "journal.jsonl", "collection")
        self.marks: dict[str, str] = {}
        self.done: set[Key] = set()
        self.growing: dict[Key, Mapping[str, Any]] = {}
        self._looked: set[Place] = set()
        for row in read_rows(self.path):
            self._note(row)
            self.marks[row["query_id"]] = row["mark"]

    def add(self, row: Mapping[str, Any]) -> None:
        """Write one row."""
        self.append(row)
        self._note(row)

    def not_looked_at(self, key: Key) -> list[Mapping[str, Any]]:
        """The check-points of a drawn sample whose answers are missing."""
        points = self.growing[key]["growth"] if key in self.growing else ()
        return [point for point in points if (*key, point["prefix_tokens"]) not in self._looked]

    def _note(self, row: Mapping[str, Any]) -> None:
        key = key_of(row)
        if row.get("prefix_tokens") is None:
            self.done.add(key)
            if row.get("growth"):
                self.growing[key] = row
        else:
            self._looked.add(place_of(row))
        if key in self.growing and not self.not_looked_at(key):
            del self.growing[key]
