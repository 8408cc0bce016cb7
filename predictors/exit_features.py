"""What the looks at a growing trace say about stopping it now: its tentative answers, how sure, for how long the same.

Nothing here knows the question or the kind of task, so that what is fitted on one kind can be used on another. When it
fails: a tentative answer that is guessed from the question alone looks as settled as one that was worked out, unless
the text says nothing of it (`predictors.exit_text`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
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
_MOST = 1 - _EDGE


class TraceLook(NamedTuple):
    """One look at a growing trace."""

    tokens: int  # spent so far
    answer: int | None  # equal numbers: equal answers; None: no answer yet
    confidence: float | None = None  # probability of the tentative answer's tokens, or stated, [0, 1]
    mean_logprob: float | None = None  # of the trace so far, nats per token
    first_entropy: float | None = None  # nats
    written: Written = NOTHING  # the tentative answer in the text; asked of the latest look alone


def exit_features(looks: Sequence[TraceLook]) -> list[float]:
    """`NAMES` of a trace as it stands at its latest look; `looks` in order, at least one. What is unknown is 0."""
    now, answers = looks[-1], [look.answer for look in looks]
    run = 0
    while run < len(answers) and now.answer is not None and answers[-1 - run] == now.answer:
        run += 1
    before = len(answers) - run
    began = looks[before].tokens if run else now.tokens
    earlier = [len(list(same)) for answer, same in groupby(answers[:before]) if answer is not None]
    given = set(answers) - {None}
    sure = [look.confidence for look in looks]
    surest = [_logit(one) for one in sure if one is not None]
    of_run = [one for one in sure[before:] if one is not None]
    confidence = 0.0 if now.confidence is None else surest[-1]
    logprob = now.mean_logprob or 0.0
    reversed_before = (look.mean_logprob for look in reversed(looks[:-1]) if look.mean_logprob is not None)
    logprob_before = None if now.mean_logprob is None else next(reversed_before, None)
    return [
        float(now.answer is not None),
        log1p(run),
        log1p(now.tokens - began),
        (now.tokens - began) / max(1, now.tokens),
        log1p(max(earlier, default=0)),
        log1p(len(earlier)),
        answers.count(now.answer) / len(looks) if now.answer is not None else 0.0,
        log1p(len(given)),
        float(now.confidence is not None),
        confidence,
        _logit(min(of_run)) if of_run else 0.0,
        sum(surest) / len(surest) if surest else 0.0,
        confidence - surest[-2] if now.confidence is not None and len(surest) > 1 else 0.0,
        confidence * log1p(run),
        logprob,
        0.0 if logprob_before is None else logprob - logprob_before,
        log1p(now.tokens),
        log1p(len(looks)),
        now.first_entropy or 0.0,
        *now.written,
    ]


def _logit(p: float) -> float:
    if p < _EDGE:  # spelt out, because it is asked of every look
        p = _EDGE
    elif p > _MOST:
        p = _MOST
    return log(p / (1 - p))
