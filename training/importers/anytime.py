"""Answers of one model under several token budgets, as adaptive-anytime routing studies write them: JSONL, one object
per budget, with the confidence that the model states.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from training.importers.foreign import jsonl_rows
from training.importers.long_form import agreed
from training.importers.rows import ImportedQuery, ImportedRows, ImportedSample

_COLUMNS = {"query_id": "uid", "query": "problem"}  # ours -> theirs
_NUMBER = re.compile(r"_?\d+$")


@dataclass(frozen=True, slots=True)
class Anytime:
    """Keys `uid, max_new_tokens, problem, gold, raw_text, answer, conf, correct`. Every budget is a backend of its own:
    each answer is a generation of its own, not a snapshot of a longer one.
    """

    model: str = "student"

    def read(self, source: Path) -> ImportedRows:
        queries: dict[str, ImportedQuery] = {}
        samples: list[ImportedSample] = []
        for row in jsonl_rows(source):
            name = row.text("uid")
            task = _NUMBER.sub("", name).removesuffix("_test") or None
            query = ImportedQuery(name, row.text("problem"), task, row.maybe_text("gold"))
            queries[name] = agreed(queries.get(name, query), query, row, _COLUMNS)
            text = row.maybe_text("raw_text")
            samples.append(
                ImportedSample(
                    name,
                    f"{self.model}@{row.text('max_new_tokens')}",
                    text=text,
                    answer=row.maybe_text("answer"),
                    reward=row.maybe_number("correct", 0, 1),
                    chars_out=None if text is None else len(text),
                    confidence=row.maybe_number("conf", 0, 1),
                )
            )
        return ImportedRows(list(queries.values()), samples, source.name)
