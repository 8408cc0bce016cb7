"""A judge's labels for a whole recording: first the test with null answers, then every answer in both orders.

Asked side by side; what was said is kept beside the recording, so that a grading that was stopped goes on, and one that
is repeated asks nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from router.backends import Backend
from router.verifiers.judge import Judge
from training.errors import TrainingError
from training.graders import Question
from training.judging.asking import Asked, ask_all
from training.judging.cache import JudgeCache
from training.judging.guard import check_nulls, guard_pairs, orders, pair_score

OnAnswers = Callable[[int, int, Asked], object]
"""Told (answered, all, what happened) after every answer."""


@dataclass(slots=True)
class Judged:
    """What the judge said and what that took."""

    scores: dict[Question, float | None] = field(default_factory=dict)
    asked: Asked = field(default_factory=Asked)
    nulls: dict[str, float] = field(default_factory=dict)  # null answer -> mean score, see `guard`

    def summary(self, model: str) -> dict[str, Any]:
        """For the recording's meta.json."""
        return {
            "model": model,
            "comparisons": self.asked.questions + self.asked.kept,
            "unclear": self.asked.unclear,
            "refused": self.asked.refused,
            "tokens_in": self.asked.tokens_in,
            "tokens_out": self.asked.tokens_out,
            "null_scores": {null: round(mean, 4) for null, mean in self.nulls.items()},
        }


def cache_path(recording: Path) -> Path:
    """The file beside a recording that holds what judges said about it."""
    folder = recording.resolve()
    return folder.with_name(f"{folder.name}.judged.jsonl")


async def judge_all(
    judge: Judge,
    backend: Backend,
    model: str,
    questions: Sequence[Question],
    cache: JudgeCache,
    *,
    concurrency: int = 16,
    on_answers: OnAnswers = lambda done, total, asked: None,
) -> Judged:
    """The score of every question, None where it could not be judged.

    No answer is 0, the reference itself a tie, no reference None; the rest is asked. Raises `JudgeRefused` before
    anything else is asked, `NotEnoughData`, or the backend's error.
    """
    judged = Judged()
    pairs: dict[Question, tuple[str, str, str]] = {}
    for case, answer in questions:
        if not case.references:
            judged.scores[case, answer] = None
        elif answer is None:
            judged.scores[case, answer] = 0.0
        elif answer == case.references[0]:
            judged.scores[case, answer] = judge.tie
        else:
            pairs[case, answer] = (case.query, answer, case.references[0])
    if not pairs:
        return judged
    tests = guard_pairs({case.query: case.references[0] for case, _ in questions if case.references})
    total, done = len(set(orders([*tests, *pairs.values()]))), 0

    def answered() -> None:
        nonlocal done
        done += 1
        on_answers(done, total, judged.asked)

    tested = set(orders(tests))
    for wanted in (tests, list(pairs.values())):
        await ask_all(
            orders(wanted) if wanted is tests else [one for one in orders(wanted) if one not in tested],
            backend,
            cache,
            max_tokens=judge.max_tokens,
            concurrency=concurrency,
            asked=judged.asked,
            on_answer=answered,
        )
        if wanted is tests:
            if judged.asked.refused == len(tested):
                raise TrainingError(f"judge {model!r} refuses every question: {judged.asked.last_refusal}")
            judged.nulls = check_nulls(model, tests, cache)
    judged.scores |= {key: pair_score(cache, *pair, judge.tie) for key, pair in pairs.items()}
    return judged
