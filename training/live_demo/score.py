"""Right or wrong, what it cost and how long it took: one line per query, sums per way to route."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from router.answers import extract
from router.clients.admin_types import LoggedDecision
from router.clients.values import Used
from router.recording import Recording
from router.verifiers import Case
from training.errors import TrainingError
from training.graders import EVERY_TASK, Grader, parse_grader
from training.live_demo.asking import Outcome
from training.live_demo.questions import Way


@dataclass(frozen=True, slots=True)
class Line:
    """One query as it is printed and kept."""

    query_id: str
    task: str
    way: str  # whole | streamed | cancelled
    chosen: str  # policy | caller
    plan: str
    kind: str  # single | vote | cascade; "" where it failed before there was a plan
    samples: int
    tokens_out: int
    dollars: float
    right: bool | None  # None: left, or failed
    latency_s: float
    first_text_s: float | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Sum:
    """Some answered queries under one way to route."""

    queries: int
    right: int
    dollars: float
    samples: int
    tokens_out: int
    median_s: float  # latency

    @property
    def quality(self) -> float:
        """The share that is right, [0, 1]; NaN without queries."""
        return self.right / self.queries if self.queries else math.nan

    @property
    def per_thousand(self) -> float:
        """Dollars per 1,000 queries; NaN without queries."""
        return 1000 * self.dollars / self.queries if self.queries else math.nan


def graders_of(recording: Recording) -> dict[str, Grader]:
    """How each task is judged; raise TrainingError where the recording does not say."""
    named: Mapping[str, str] = recording.meta.extra.get("graders", {})
    if not named:
        raise TrainingError(f"demo-vllm: meta.json of {recording.name} names no graders")
    return {task: parse_grader(text) for task, text in named.items()}


def is_right(outcome: Outcome, graders: Mapping[str, Grader]) -> bool | None:
    """Whether the answer passes; None where there is none."""
    if outcome.reply is None or not outcome.answered:
        return None
    question = outcome.asked.question
    grader = graders.get(question.task) or graders[EVERY_TASK]
    answer = extract(outcome.reply.text, grader.answer_kind)
    score = grader.score(Case(question.text, question.gold, task=question.task), answer)
    return score is not None and score >= 0.5


def line_of(
    outcome: Outcome,
    kinds: Mapping[str, str],
    graders: Mapping[str, Grader],
    row: LoggedDecision | None = None,
) -> Line:
    """The outcome as a line; `kinds`: plan -> kind, `row`: what was logged, which alone knows what a left one used."""
    question = outcome.asked.question
    used = outcome.reply.usage if outcome.reply else row.usage if row else Used()
    return Line(
        query_id=question.query_id,
        task=question.task,
        way=question.way.value,
        chosen="caller" if outcome.asked.plan else "policy",
        plan=outcome.plan,
        kind=kinds.get(outcome.plan, ""),
        samples=used.samples,
        tokens_out=used.tokens_out,
        dollars=used.dollars,
        right=None if question.way is Way.LEFT else is_right(outcome, graders),
        latency_s=outcome.latency_s,
        first_text_s=outcome.first_text_s,
        error=outcome.error,
    )


def sum_of(lines: Iterable[Line]) -> Sum:
    """Of the lines that have an answer."""
    some = [line for line in lines if line.right is not None]
    return Sum(
        queries=len(some),
        right=sum(line.right is True for line in some),
        dollars=math.fsum(line.dollars for line in some),
        samples=sum(line.samples for line in some),
        tokens_out=sum(line.tokens_out for line in some),
        median_s=median([line.latency_s for line in some]) if some else math.nan,
    )


def mixed(ours: Sum, small: Sum, large: Sum) -> float:
    """How many a coin between small and large gets right that spends what ours spent; NaN where large is no dearer."""
    if large.dollars <= small.dollars:
        return math.nan
    share = min(1.0, max(0.0, (ours.dollars - small.dollars) / (large.dollars - small.dollars)))
    return (1 - share) * small.right + share * large.right


def recorded_rate(recording: Recording, backend: str, lines: Iterable[Line]) -> float:
    """The share of a backend's recorded samples that are right, mean over the answered queries; NaN without any."""
    rates = list[float]()
    for line in lines:
        rows = recording.rows(recording.index_of(line.query_id), backend)
        rewards = [float(value) for value in recording.columns.reward[rows] if not math.isnan(value)]
        if line.right is not None and rewards:
            rates.append(math.fsum(rewards) / len(rewards))
    return math.fsum(rates) / len(rates) if rates else math.nan


def paired(ours: Sequence[Line], theirs: Sequence[Line]) -> tuple[int, int]:
    """On how many queries only ours is right, and on how many only theirs; both sequences hold the same queries."""
    other = {line.query_id: line.right for line in theirs}
    won = sum(line.right is True and other[line.query_id] is False for line in ours)
    lost = sum(line.right is False and other[line.query_id] is True for line in ours)
    return won, lost
