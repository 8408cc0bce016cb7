"""The workload as rows: seeded, without duplicates, kinds and levels interleaved.

The n-th question of a kind depends on the seed, the kind and n alone, so that a longer workload begins with the
shorter one and a kind that is added changes no other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from random import Random

from router.recordings.text_split import normalised
from training.errors import TrainingError
from training.workload import KINDS, LEVELS, Draft

ATTEMPTS = 1000  # at a question that was not asked before


@dataclass(frozen=True, slots=True)
class Question:
    """One row of the query file; `level` is 1 (easy) .. 5 (hard)."""

    query_id: str
    query: str
    task: str
    gold: str
    level: int


def _writer(kind: str) -> Callable[[Random, int], Draft]:
    module, name = KINDS[kind][1].split(":")
    writer: Callable[[Random, int], Draft] = getattr(import_module(module), name)
    return writer


def _rng(seed: int, kind: str, place: int, attempt: int) -> Random:
    text = f"{seed}/{kind}/{place}/{attempt}".encode()
    return Random(int.from_bytes(blake2b(text, digest_size=8).digest(), "little"))


def questions_of(kind: str, many: int, seed: int = 0) -> list[Question]:
    """The first `many` questions of a kind, levels in turn; raise TrainingError when it has not so many."""
    write, seen, made = _writer(kind), set[str](), list[Question]()
    for place in range(many):
        level = place % LEVELS + 1
        drafts = (write(_rng(seed, kind, place, attempt), level) for attempt in range(ATTEMPTS))
        draft = next((draft for draft in drafts if normalised(draft.text) not in seen), None)
        if draft is None:
            raise TrainingError(f"workload: kind {kind!r} has only {place} different questions, not {many}")
        seen.add(normalised(draft.text))
        made.append(Question(f"{kind}-{place:04d}", draft.text, kind, draft.gold, level))
    return made


def workload(per_kind: int, seed: int = 0, kinds: Sequence[str] = tuple(KINDS)) -> list[Question]:
    """`per_kind` questions of every kind, interleaved: any beginning of the list is balanced."""
    for kind in kinds:
        if kind not in KINDS:
            raise TrainingError(f"workload: unknown kind {kind!r}; choose from {', '.join(KINDS)}")
    columns = [questions_of(kind, per_kind, seed) for kind in kinds]
    return [column[place] for place in range(per_kind) for column in columns]


def write_workload(path: Path, questions: Sequence[Question]) -> None:
    """Write the questions as JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(asdict(question), ensure_ascii=False) for question in questions)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
