"""The sample that is most probably right by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

from predictors.observation import Sample, Signals, Tally
from router.selectors import Selection, Selector


@dataclass(frozen=True, slots=True)
class MostConfident(Selector):
    """By `sample_confidence`, else the confidence the model stated, else exp(mean log-probability), else 0.

    Best-of-n by confidence. Fails where confidence does not tell right from wrong within one query: long wrong
    answers of a fluent model are likely ones.
    """

    def select(self, samples: Sequence[Sample], tally: Tally, signals: Signals) -> Selection:
        """Most confident first; equals in order of arrival."""
        ranked = sorted(samples, key=lambda sample: confidence_of(sample, signals), reverse=True)
        return Selection(tuple(ranked), confidence_of(ranked[0], signals))


def confidence_of(sample: Sample, signals: Signals) -> float:
    """The best estimate of P(right) there is for one sample, in [0, 1]; 0 where there is none."""
    return known_confidence(sample, signals) or 0.0


def known_confidence(sample: Sample, signals: Signals) -> float | None:
    """The same; None where there is none."""
    predicted = signals.get(f"sample_confidence/{sample.sample_id}", sample.confidence)
    if predicted is not None:
        return predicted
    return None if sample.mean_logprob is None else exp(min(0.0, sample.mean_logprob))
