"""`apportion grade`: find the answer in every recorded text and say how right it is.

Answers are extracted by the same code as online, and judged by the same table of verifiers. Which verifier judges
which task comes from the command line, else from `graders` in the recording's meta.json.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import typer

from router.answers import extract
from router.plugins import resolve
from router.recording_format import (
    QUERIES,
    QUERY_COLUMNS,
    SAMPLE_COLUMNS,
    SAMPLES,
    read_meta,
    read_table,
    verify_checksums,
    write_recording,
)
from router.verifiers import VERIFIERS, Case, Verifier
from training.errors import TrainingError

EVERY_TASK = ""


@dataclass(frozen=True, slots=True)
class Grader:
    """A verifier and how answers are extracted for it."""

    verifier: Verifier
    answer_kind: str


@dataclass(frozen=True, slots=True)
class Graded:
    """The new columns, one entry per sample row."""

    answers: list[str | None]
    rewards: list[float | None]


def parse_grader(text: str) -> Grader:
    """`VERIFIER[:ANSWER_KIND]`; raise UnknownName with the choices."""
    name, _, kind = text.partition(":")
    verifier: Verifier = resolve("verifier", VERIFIERS, name)()
    kind = kind or verifier.answer_kind
    extract("", kind)
    extract("x", kind)  # an unknown kind is refused here, with the choices
    return Grader(verifier, kind)


def named_graders(texts: Sequence[str]) -> dict[str, str]:
    """Task -> `VERIFIER[:ANSWER_KIND]` from `TASK=VERIFIER…`, or from `VERIFIER…` for every task."""
    named: dict[str, str] = {}
    for text in texts:
        task, _, grader = text.rpartition("=")
        named[task] = grader
    return named


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
        query = queries[query_id]
        case = Case(query["query"], query.get("gold"), tuple(references.get(query_id, ())))
        value = graders[task].verifier.grade(case, answer)
        if value is not None and not 0 <= value <= 1:
            raise TrainingError(f"query {query_id!r}: the verifier gave {value}; a score is in [0, 1]")
        return value

    graded = Graded([], [])
    for row in rows:
        task = queries[row["query_id"]].get("task") or EVERY_TASK
        task = task if task in graders else EVERY_TASK
        answer, reward = row.get("answer"), row.get("reward")
        if task in graders and not (keep and reward is not None):
            if row.get("text") is not None:
                answer = extract(row["text"], graders[task].answer_kind)
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
        task = queries[row["query_id"]].get("task") or EVERY_TASK
        grader = graders.get(task) or graders.get(EVERY_TASK)
        answer = row.get("answer")
        if grader and row.get("text") is not None:
            answer = extract(row["text"], grader.answer_kind)
        if answer is not None:
            found.setdefault(row["query_id"], []).append(answer)
    return found


def grade(
    recording: Annotated[
        Path, typer.Option(help="The recording's folder; its answers and rewards are replaced.")
    ],
    verifier: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[TASK=]NAME[:ANSWER_KIND]",
            help=f"Of every task or of one; repeat. NAME: {', '.join(VERIFIERS)}. Default: meta.json's graders.",
        ),
    ] = None,
    reference: Annotated[str, typer.Option(help="The backend that `agrees` compares with.")] = "",
    out: Annotated[Path | None, typer.Option(help="Another folder for the graded recording.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Rewards that are there already stay.")] = False,
) -> None:
    """Label a recording's samples: extract their answers, give each a reward."""
    import pyarrow as pa

    meta = read_meta(recording)
    verify_checksums(recording, meta)
    query_table = read_table(recording / QUERIES, QUERY_COLUMNS)
    sample_table = read_table(recording / SAMPLES, SAMPLE_COLUMNS)
    named = named_graders(verifier) if verifier else dict(meta.extra.get("graders", {}))
    if not named:
        raise TrainingError(f"{recording}: say --verifier; choose from {', '.join(VERIFIERS)}")
    graders = {task: parse_grader(text) for task, text in named.items()}
    needs = {grader.verifier.needs for grader in graders.values()}
    if "references" in needs and reference not in meta.prices:
        raise TrainingError(f"--reference {reference!r}: choose from {', '.join(meta.prices)}")
    queries = {row["query_id"]: row for row in query_table.to_pylist()}
    wanted = ("query_id", "backend", "sample_idx", "prefix_tokens", "text", "answer", "reward")
    rows = sample_table.select([name for name in wanted if name in sample_table.column_names]).to_pylist()
    for row in rows:
        if row["query_id"] not in queries:
            raise TrainingError(
                f"{recording}: a sample of query {row['query_id']!r}, which is not in {QUERIES}"
            )
    references = references_of(rows, queries, reference, graders) if "references" in needs else {}
    graded = grade_rows(queries, rows, graders, references, keep)
    for name, column in (
        ("answer", pa.array(graded.answers, pa.large_string())),
        ("reward", pa.array(graded.rewards, pa.float32())),
    ):
        if name in sample_table.column_names:
            sample_table = sample_table.set_column(sample_table.column_names.index(name), name, column)
        else:
            sample_table = sample_table.append_column(name, column)
    extra = dict(meta.extra) | {"graders": named}
    write_recording(out or recording, replace(meta, extra=extra), query_table, sample_table)
    _report(rows, graded)


def _report(rows: Sequence[Mapping[str, Any]], graded: Graded) -> None:
    sums: dict[str, list[float]] = {}
    for row, reward in zip(rows, graded.rewards, strict=True):
        if reward is not None:
            sums.setdefault(row["backend"], []).append(reward)
    for backend, rewards in sums.items():
        print(
            f"{backend}: {len(rewards)} samples, mean reward {sum(rewards) / len(rewards):.3f}",
            file=sys.stderr,
        )
    unlabelled = sum(reward is None for reward in graded.rewards)
    if unlabelled:
        print(f"{unlabelled} samples of {len(rows)} have no label", file=sys.stderr)
