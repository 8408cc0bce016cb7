"""The answer in every recorded text and how right it is, row by row, by the graders of its task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from training.errors import TrainingError
from training.graders import Grader, answer_of, case_of, task_of


@dataclass(frozen=True, slots=True)
class Graded:
    """The new columns, one entry per sample row."""

    answers: list[str | None]
    rewards: list[float | None]


def grade_rows(
    queries: Mapping[str, Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
    graders: Mapping[str, Grader],
    references: Mapping[str, Sequence[str]],
    keep: bool = False,
) -> Graded:
    """Answer and reward of every row; a task without a grader keeps what it has.

    `queries`: query_id -> its row. `references`: query_id -> answers of the reference backend. `keep`: a reward
    that is there already stays.
    """

    @lru_cache(maxsize=100_000)
    def score(query_id: str, task: str, answer: str | None) -> float | None:
        case = case_of(queries[query_id], references.get(query_id, ()))
        value = graders[task].score(case, answer)
        if value is not None and not 0 <= value <= 1:
            raise TrainingError(f"query {query_id!r}: the verifier gave {value}; a score is in [0, 1]")
        return value

    graded = Graded([], [])
    for row in rows:
        task = task_of(queries[row["query_id"]], graders)
        answer, reward = row.get("answer"), row.get("reward")
        if task in graders and not (keep and reward is not None):
            answer = answer_of(row, graders[task])
            reward = score(row["query_id"], task, answer)
        graded.answers.append(answer)
        graded.rewards.append(reward)
    return graded


def references_of(
    rows: Sequence[Mapping[str, Any]],
    queries: Mapping[str, Mapping[str, Any]],
    backend: str,
    graders: Mapping[str, Grader],
) -> dict[str, list[str]]:
    """The reference backend's answers by query, in order of index."""
    found: dict[str, list[str]] = {}
    finished = [row for row in rows if row["backend"] == backend and row.get("prefix_tokens") is None]
    for row in sorted(finished, key=lambda row: int(row["sample_idx"])):
        grader = graders.get(task_of(queries[row["query_id"]], graders))
        answer = row.get("answer") if grader is None else answer_of(row, grader)
        if answer is not None:
            found.setdefault(row["query_id"], []).append(answer)
    return found
