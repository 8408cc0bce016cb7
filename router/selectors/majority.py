"""The answer with most votes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from predictors.observation import Sample, Signals, Tally
from router.selectors import Selection, Selector


@dataclass(frozen=True, slots=True)
class Majority(Selector):
    """One sample per answer class, most votes first, then the earliest class; samples without a vote come last.

    Self-consistency (Wang et al. 2022). The confidence is that of the winner's latest sample where it was
    predicted, else its share of the votes (not calibrated). Fails where the most popular answer is wrong, and
    on free text.
    """

    def select(self, samples: Sequence[Sample], tally: Tally, signals: Signals) -> Selection:
        """The leader's earliest sample first."""
        members: dict[int, list[Sample]] = {}
        for sample in samples:
            if sample.answer_class is not None:
                members.setdefault(sample.answer_class, []).append(sample)
        if not members:
            return Selection(tuple(samples), samples[0].confidence)
        ranked = sorted(members.values(), key=len, reverse=True)  # stable: equals stay in order of arrival
        rest = tuple(sample for sample in samples if sample.answer_class is None)
        share = len(ranked[0]) / sum(map(len, ranked))
        confidence = signals.get(f"sample_confidence/{ranked[0][-1].sample_id}", share)
        return Selection(tuple(group[0] for group in ranked) + rest, confidence)
