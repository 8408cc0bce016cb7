"""What a judge has said so far: an append-only file of JSON lines beside the recording, which survives `kill -9`.

One line per question, named by a hash of (judge, query, first answer, second answer).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path

from router.answering.pairwise import SYSTEM, Preferred
from training.append_only import AppendOnlyLines, whole_lines
from training.errors import TrainingError


@dataclass(frozen=True, slots=True)
class Comparison:
    """One question: two answers to a query, in the order in which the judge sees them."""

    query: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the judge said; `said` is None where that was not clear."""

    said: Preferred | None
    tokens_in: int = 0
    tokens_out: int = 0


class JudgeCache(AppendOnlyLines):
    """The open file of one judge."""

    def __init__(self, path: Path, model: str, max_tokens: int) -> None:
        super().__init__(path, "grading")
        self._judge = [model, max_tokens, SYSTEM]  # what its verdicts depend on
        self._known: dict[str, Verdict] = {}
        try:
            self._read()
        except TrainingError:
            self.close()
            raise

    def get(self, comparison: Comparison) -> Verdict | None:
        """What was said about it, if it was asked."""
        return self._known.get(self._key(comparison))

    def add(self, comparison: Comparison, verdict: Verdict) -> None:
        """Keep a verdict: one line, written at once."""
        key = self._key(comparison)
        self.append({"key": key} | asdict(verdict) | {"said": verdict.said and verdict.said.value})
        self._known[key] = verdict

    def _key(self, comparison: Comparison) -> str:
        named = json.dumps([*self._judge, comparison.query, comparison.first, comparison.second])
        return blake2b(named.encode(), digest_size=16).hexdigest()

    def _read(self) -> None:
        for number, line in enumerate(whole_lines(self.path), 1):
            try:
                row = json.loads(line)
                said = None if row["said"] is None else Preferred(row["said"])
                self._known[row["key"]] = Verdict(said, int(row["tokens_in"]), int(row["tokens_out"]))
            except (ValueError, KeyError, TypeError) as error:
                raise TrainingError(f"{self.path}: line {number} is no verdict: {line[:80]!r}") from error
