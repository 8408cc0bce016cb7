"""What a judge has said so far: an append-only file of JSON lines beside the recording, which survives `kill -9`.

One line per question, named by a hash of (judge, query, first answer, second answer). A line that was torn by the end
of the process is cut off when the file is opened again.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Self

from router.pairwise import SYSTEM, Preferred
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


class JudgeCache:
    """The open file of one judge; one process at a time."""

    def __init__(self, path: Path, model: str, max_tokens: int) -> None:
        self.path = path
        self._judge = [model, max_tokens, SYSTEM]  # what its verdicts depend on
        self._known: dict[str, Verdict] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise TrainingError(f"{path}: another grading is writing here") from error
        try:
            self._read()
        except TrainingError:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.fsync(self._file)
        os.close(self._file)

    def get(self, comparison: Comparison) -> Verdict | None:
        """What was said about it, if it was asked."""
        return self._known.get(self._key(comparison))

    def add(self, comparison: Comparison, verdict: Verdict) -> None:
        """Keep a verdict: one line, written at once."""
        key = self._key(comparison)
        row = {"key": key} | asdict(verdict) | {"said": verdict.said and verdict.said.value}
        line = json.dumps(row).encode() + b"\n"
        if os.write(self._file, line) != len(line):
            raise TrainingError(f"{self.path}: the disk is full")
        self._known[key] = verdict

    def _key(self, comparison: Comparison) -> str:
        named = json.dumps([*self._judge, comparison.query, comparison.first, comparison.second])
        return blake2b(named.encode(), digest_size=16).hexdigest()

    def _read(self) -> None:
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            os.ftruncate(self._file, len(whole))
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                row = json.loads(line)
                said = None if row["said"] is None else Preferred(row["said"])
                self._known[row["key"]] = Verdict(said, int(row["tokens_in"]), int(row["tokens_out"]))
            except (ValueError, KeyError, TypeError) as error:
                raise TrainingError(f"{self.path}: line {number} is no verdict: {line[:80]!r}") from error
