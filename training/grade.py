"""`apportion grade`: find the answer in every recorded text and say how right it is.

Answers are extracted by the same code as online, and judged by the same table of verifiers. Which verifier judges
which task comes from the command line, else from `graders` in the recording's meta.json. What waits for others
(`judge`, `http`) is asked first, side by side.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from router.recordings.format import (
    QUERIES,
    QUERY_COLUMNS,
    SAMPLE_COLUMNS,
    SAMPLES,
    read_meta,
    read_table,
    verify_checksums,
    write_recording,
)
from router.verifiers import VERIFIERS
from router.verifiers.agrees import Agrees
from training.ask_ahead import ask_ahead
from training.errors import TrainingError
from training.grade_rows import Graded, grade_rows, references_of
from training.graders import EVERY_TASK, named_graders, parse_grader

VERIFIER_HELP = (
    f"Of every task or of one; repeat. NAME: {', '.join(VERIFIERS)}; with options as in router.toml: "
    '\'{ kind = "regex", pattern = "…" }\'. Default: meta.json\'s graders.'
)


def grade(
    recording: Annotated[
        Path | None, typer.Option(help="The recording's folder; its answers and rewards are replaced.")
    ] = None,
    verifier: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[TASK=]NAME[:ANSWER_KIND]",
            help=VERIFIER_HELP,
        ),
    ] = None,
    reference: Annotated[str, typer.Option(help="The backend that `agrees` and `judge` compare with.")] = "",
    out: Annotated[Path | None, typer.Option(help="Another folder for the graded recording.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Rewards that are there already stay.")] = False,
    concurrency: Annotated[
        int, typer.Option(min=1, help="Questions in flight to a `judge` or an `http` service.")
    ] = 16,
    log: Annotated[
        str,
        typer.Option(help="Instead of a recording: an exported log, whose answered decisions are graded."),
    ] = "",
    metric: Annotated[
        str, typer.Option(help="With --log: of the outcomes that the grades become.")
    ] = "grade",
) -> None:
    """Label a recording's samples, or the decisions of an exported log: extract answers, give each a reward."""
    import pyarrow as pa

    if log:
        _grade_log(log, verifier or [], metric, concurrency)
        return
    if recording is None:
        raise TrainingError("grade what? say --recording FOLDER or --log EXPORT")
    meta = read_meta(recording)
    query_table = read_table(recording / QUERIES, QUERY_COLUMNS)
    sample_table = read_table(recording / SAMPLES, SAMPLE_COLUMNS)
    verify_checksums(recording, meta)
    named = named_graders(verifier) if verifier else dict(meta.extra.get("graders", {}))
    if not named:
        raise TrainingError(f"{recording}: say --verifier; choose from {', '.join(VERIFIERS)}")
    graders = {task: parse_grader(text) for task, text in named.items()}
    needs = {grader.verifier.needs for grader in graders.values()}
    if "references" in needs and reference not in meta.prices:
        wants = next(name for name, grader in graders.items() if grader.verifier.needs == "references")
        told = f"unknown backend {reference!r}" if reference else f"{named[wants]!r} compares with a backend"
        raise TrainingError(f"--reference: {told}; choose from {', '.join(meta.prices)}")
    queries = {row["query_id"]: row for row in query_table.to_pylist()}
    _check_tasks(named_graders(verifier or []), {row.get("task") or EVERY_TASK for row in queries.values()})
    wanted = ("query_id", "backend", "sample_idx", "prefix_tokens", "text", "tentative", "answer", "reward")
    rows = sample_table.select([name for name in wanted if name in sample_table.column_names]).to_pylist()
    for row in rows:
        if row["query_id"] not in queries:
            raise TrainingError(
                f"{recording}: a sample of query {row['query_id']!r}, which is not in {QUERIES}"
            )
    references = references_of(rows, queries, reference, graders) if "references" in needs else {}
    graders, judges = ask_ahead(
        queries, rows, graders, references, recording=recording, concurrency=concurrency, keep=keep
    )
    graded = grade_rows(queries, rows, graders, references, keep)
    for name, column in (
        ("answer", pa.array(graded.answers, pa.large_string())),
        ("reward", pa.array(graded.rewards, pa.float32())),
    ):
        if name in sample_table.column_names:
            sample_table = sample_table.set_column(sample_table.column_names.index(name), name, column)
        else:
            sample_table = sample_table.append_column(name, column)
    extra = dict(meta.extra) | {"graders": named} | ({"judges": judges} if judges else {})
    write_recording(out or recording, replace(meta, extra=extra), query_table, sample_table)
    _report(rows, graded)
    if any(isinstance(grader.verifier, Agrees) for grader in graders.values()):
        print(
            f"these labels say who agrees with the majority of {reference!r}, not who is right: its own samples and "
            "votes look better than they are",
            file=sys.stderr,
        )


def _check_tasks(named: Mapping[str, str], there: AbstractSet[str]) -> None:
    """A task that no query has is a slip: its queries would be judged by the verifier of every task, or by none."""
    for task in named:
        if task != EVERY_TASK and task not in there:
            tasks = ", ".join(sorted(there - {EVERY_TASK}))
            raise TrainingError(
                f"--verifier: no query has the task {task!r}; "
                + (f"choose from {tasks}" if tasks else "none has a task: leave `TASK=` out")
            )


def _grade_log(log: str, graders: Sequence[str], metric: str, concurrency: int) -> None:
    from training.log.grades import grade_log

    if not graders:
        raise TrainingError(f"{log}: say --verifier; choose from {', '.join(VERIFIERS)}")
    for grader in graders:
        done = grade_log(log, grader, metric, time.time(), concurrency)
        mean = "" if done.mean is None else f", mean {done.mean:.3f}"
        print(
            f"{grader}: {done.graded} decisions graded{mean}; {done.before} before, {done.unlabelled} without what "
            f"it needs, {done.without_text} without their texts",
            file=sys.stderr,
        )


def _report(rows: Sequence[Mapping[str, Any]], graded: Graded) -> None:
    sums: dict[tuple[str, str], list[float]] = {}
    for row, reward in zip(rows, graded.rewards, strict=True):
        if reward is not None:
            what = "samples" if row.get("prefix_tokens") is None else "snapshots"
            sums.setdefault((row["backend"], what), []).append(reward)
    for (backend, what), rewards in sums.items():
        mean = sum(rewards) / len(rewards)
        print(f"{backend}: {len(rewards)} {what}, mean reward {mean:.3f}", file=sys.stderr)
    unlabelled = sum(reward is None for reward in graded.rewards)
    if unlabelled:
        none = "" if unlabelled < len(rows) else ": have the queries no gold? `agrees` needs none"
        print(f"{unlabelled} samples of {len(rows)} have no label{none}", file=sys.stderr)
