"""A CSV file with a header and one row per sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from training.importers.foreign import csv_rows
from training.importers.long_form import LongForm
from training.importers.rows import ImportedRows


@dataclass(frozen=True, slots=True)
class CSV:
    """See `LongForm` for what may be missing. Fails on files without a header."""

    columns: Mapping[str, str] = field(default_factory=dict)  # our name -> theirs
    backend: str = ""  # of all rows, where the file has no such column
    delimiter: str = ","

    def read(self, source: Path) -> ImportedRows:
        form = LongForm(self.columns, self.backend)
        return form.read(csv_rows(source, self.delimiter), source.name)
