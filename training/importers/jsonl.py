"""A file with one JSON object per sample and line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from training.importers.foreign import jsonl_rows
from training.importers.long_form import LongForm
from training.importers.rows import ImportedRows


@dataclass(frozen=True, slots=True)
class JSONL:
    """See `LongForm` for what may be missing. A nested value becomes its JSON text."""

    columns: Mapping[str, str] = field(default_factory=dict)  # our name -> theirs
    backend: str = ""  # of all rows, where the objects have no such key

    def read(self, source: Path) -> ImportedRows:
        return LongForm(self.columns, self.backend).read(jsonl_rows(source), source.name)
