"""Ask what waits for others (a judge, the user's service) side by side, before a recording is graded row by row."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from router.verifiers.http_hook import Http
from router.verifiers.judge import Judge
from training.graders import Grader, Question, answer_of, case_of, task_of

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from training.judging.asking import Asked
    from training.judging.labels import Judged


def ask_ahead(
    queries: Mapping[str, Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
    graders: Mapping[str, Grader],
    references: Mapping[str, Sequence[str]],
    *,
    recording: Path,  # a judge's verdicts are kept beside it
    concurrency: int = 16,
    keep: bool = False,  # rewards that are there already are not asked for
) -> tuple[dict[str, Grader], dict[str, Any]]:
    """The graders with all that the `judge` and `http` ones say of these rows; and by task, what a judge took.

    Raises `JudgeRefused` where a judge may not label.
    """
    asked: dict[str, dict[Question, None]] = {}
    for row in rows:
        query = queries[row["query_id"]]
        task = task_of(query, graders)
        grader = graders.get(task)
        if grader is None or not isinstance(grader.verifier, Http | Judge):
            continue
        if not (keep and row.get("reward") is not None):
            case = case_of(query, references.get(row["query_id"], ()))
            asked.setdefault(task, {})[case, answer_of(row, grader)] = None
    ready, summaries = dict(graders), {}
    for task, questions in asked.items():
        verifier = graders[task].verifier
        if isinstance(verifier, Judge):
            judged, model = asyncio.run(_judged(verifier, list(questions), recording, concurrency))
            summaries[task] = judged.summary(model)
            ready[task] = replace(graders[task], known=judged.scores)
            _say(model, judged)
        elif isinstance(verifier, Http):
            ready[task] = replace(graders[task], known=_told(verifier, list(questions), concurrency))
    return ready, summaries


async def _judged(
    judge: Judge, questions: Sequence[Question], recording: Path, concurrency: int
) -> tuple[Judged, str]:
    from training.judging.asking import judge_backend
    from training.judging.cache import JudgeCache
    from training.judging.labels import cache_path, judge_all

    backend, model = judge_backend(judge)
    try:
        with (
            JudgeCache(cache_path(recording), model, judge.max_tokens) as cache,
            _bar("judge") as (bar, task),
        ):

            def shown(done: int, total: int, asked: Asked) -> None:
                said = f"{asked.tokens_in} tokens in, {asked.tokens_out} out, {asked.kept} known"
                bar.update(task, completed=done, total=total, said=said)

            judged = await judge_all(
                judge, backend, model, questions, cache, concurrency=concurrency, on_answers=shown
            )
    finally:
        await backend.close()
    return judged, model


def _told(hook: Http, questions: Sequence[Question], concurrency: int) -> dict[Question, float | None]:
    scores: dict[Question, float | None] = {}
    before = hook.failures.count
    with ThreadPoolExecutor(concurrency) as pool, _bar("http") as (bar, task):
        bar.update(task, total=len(questions))
        for question, score in zip(
            questions, pool.map(lambda asked: hook.grade(*asked), questions), strict=True
        ):
            scores[question] = score
            bar.update(task, advance=1)
    failed = hook.failures.count - before
    if failed:
        print(f"http: {hook.url} could not judge {failed} of {len(questions)} answers", file=sys.stderr)
    return scores


def _say(model: str, judged: Judged) -> None:
    asked = judged.asked
    nulls = ", ".join(f"{mean:.2f}" for mean in judged.nulls.values())
    print(
        f"judge {model}: {asked.questions} comparisons asked, {asked.kept} known before; {asked.unclear} unclear, "
        f"{asked.refused} refused; {asked.tokens_in} tokens in, {asked.tokens_out} out; null answers score {nulls}",
        file=sys.stderr,
    )
    if asked.refused:
        print(f"the last refusal: {asked.last_refusal}", file=sys.stderr)


@contextmanager
def _bar(word: str) -> Iterator[tuple[Progress, TaskID]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(word), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[said]}"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        yield bar, bar.add_task(word, total=None, said="")
