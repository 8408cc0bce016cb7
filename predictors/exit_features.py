"""What the looks at a growing trace say about stopping it now: its tentative answers, how sure, for how long the same.

Nothing here knows the question or the kind of task, so that what is fitted on one kind can be used on another. When it
fails: a tentative answer that is guessed from the question alone looks as settled as one that was worked out, unless
the text says nothing of it (`predictors.exit_text`).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, log1p
from typing import NamedTuple

from predictors.exit_text import NOTHING, Written

NAMES = (
    "answered",
    "run_looks",
    "run_tokens",
    "run_share",
    "longest_earlier_run",
    "earlier_runs",
    "agreeing",
    "distinct",
    "stated",
    "confidence",
    "confidence_low",
    "confidence_mean",
    "confidence_change",
    "confidence_run",
    "logprob",
    "logprob_change",
    "tokens",
    "looks",
    "first_entropy",
    "written_times",
    "written_since",
    "written_ago",
)
BEFORE_TEXT = 19  # of `NAMES`: what heads in older bundles were fitted on
_EDGE = 1e-3


class Look(NamedTuple):
    """One look at a growing trace."""

    tokens: int  # spent so far
    answer: int | None  # equal numbers: equal answers; None: no answer yet
    confidence: float | None = None  # probability of the tentative answer's tokens, or stated, [0, 1]
    mean_logprob: float | None = None  # of the trace so far, nats per token
    first_entropy: float | None = None  # nats
    written: Written = NOTHING  # the tentative answer in the text; asked of the latest look alone


def exit_features(looks: Sequence[Look]) -> list[float]:
    """`NAMES` of a trace as it stands at its latest look; `looks` in order, at least one. What is unknown is 0."""
    now = looks[-1]
    run = 0
    while run < len(looks) and now.answer is not None and looks[-1 - run].answer == now.answer:
        run += 1
    began = looks[-run].tokens if run else now.tokens
    earlier = _runs(looks[: len(looks) - run])
    answers = [look.answer for look in looks if look.answer is not None]
    surest = [_logit(look.confidence) for look in looks if look.confidence is not None]
    of_run = [_logit(look.confidence) for look in looks[len(looks) - run :] if look.confidence is not None]
    confidence = 0.0 if now.confidence is None else _logit(now.confidence)
    before = [look.mean_logprob for look in looks[:-1] if look.mean_logprob is not None]
    logprob = now.mean_logprob or 0.0
    return [
        float(now.answer is not None),
        log1p(run),
        log1p(now.tokens - began),
        (now.tokens - began) / max(1, now.tokens),
        log1p(max(earlier, default=0)),
        log1p(len(earlier)),
        answers.count(now.answer) / len(looks) if now.answer is not None else 0.0,
        log1p(len(set(answers))),
        float(now.confidence is not None),
        confidence,
        min(of_run, default=0.0),
        sum(surest) / len(surest) if surest else 0.0,
        confidence - surest[-2] if now.confidence is not None and len(surest) > 1 else 0.0,
        confidence * log1p(run),
        logprob,
        logprob - before[-1] if before and now.mean_logprob is not None else 0.0,
        log1p(now.tokens),
        log1p(len(looks)),
        now.first_entropy or 0.0,
        *now.written,
    ]


def _runs(looks: Sequence[Look]) -> list[int]:
    """Lengths of the runs of equal answers."""
    found: list[int] = []
    last = None
    for look in looks:
        if look.answer is None:
            last = None
            continue
        if look.answer == last and found:
            found[-1] += 1
        else:
            found.append(1)
        last = look.answer
    return found


def _logit(p: float) -> float:
    p = min(max(p, _EDGE), 1 - _EDGE)
    return log(p / (1 - p))
