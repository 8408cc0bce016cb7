"""How much likelier is such a sample if it is right? What a sample says by itself, beside how many agree with it.

A sample is judged as if it were the only one; the judgement's log-odds against those expected of the query are the
logarithm of a likelihood ratio. How much of it is believed is learned for each backend from queries with several
samples (`training.fit.evidence`), and is nothing where it told no more than the votes. Fails as the judgement does:
where wrong answers look alike in whatever the head was fitted on.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log

from predictors.observation import Sample, Signals

NEAREST = 1e-3  # that a judgement comes to 0 or 1: one sample is never all the evidence


def evidence(alone: float, expected: float, believed: float) -> float:
    """`believed` times the difference in log-odds of P(right) `alone` and as `expected` before; all in [0, 1].

    >>> round(evidence(0.9, 0.5, 1.0), 3), evidence(0.3, 0.3, 1.0), round(evidence(0.1, 0.5, 0.5), 3)
    (2.197, 0.0, -1.099)
    """
    return believed * (_log_odds(alone) - _log_odds(expected))


def heft_of(sample: Sample, signals: Signals) -> float | None:
    """How much the sample's vote counts, exp(evidence); None where nothing is known of it."""
    found = signals.get(f"evidence/{sample.sample_id}")
    return None if found is None else exp(found)


def hefts_of(samples: Sequence[Sample], answers: int, signals: Signals) -> list[float] | None:
    """The sum of what the votes count for each of so many answer classes; one of which nothing is known counts 1.

    None where nothing is known of any.
    """
    found, any_known = [0.0] * answers, False
    for sample in samples:
        if sample.finished and sample.answer_class is not None and sample.answer_class < answers:
            heft = heft_of(sample, signals)
            any_known = any_known or heft is not None
            found[sample.answer_class] += 1.0 if heft is None else heft
    return found if any_known and min(found, default=0.0) > 0 else None


def _log_odds(p: float) -> float:
    p = min(max(p, NEAREST), 1 - NEAREST)
    return log(p / (1 - p))
