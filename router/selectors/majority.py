"""The answer with most votes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from predictors.observation import Sample, Signals, Tally
from router.selectors import Selection, Selector
from router.selectors.most_confident import confidence_of
from router.selectors.vote_groups import by_class, ranked_answers


@dataclass(frozen=True, slots=True)
class Majority(Selector):
    """One sample per answer class, most votes first; samples without a vote come last.

    Self-consistency (Wang et al. 2022). Of equally many votes the class with more confidence in all its samples
    together wins, of equals there the one that came first. The confidence is that of the winner's latest sample where
    it was predicted, else its share of the votes (not calibrated). Fails where the most popular answer is wrong, and
    on free text.
    """

    def select(self, samples: Sequence[Sample], tally: Tally, signals: Signals) -> Selection:
        """The leader's earliest sample first."""
        groups = by_class(samples)
        mass = {key: sum(confidence_of(sample, signals) for sample in group) for key, group in groups.items()}
        heaviest_first = dict(sorted(groups.items(), key=lambda entry: mass[entry[0]], reverse=True))
        votes = {key: float(len(group)) for key, group in groups.items()}
        return ranked_answers(samples, heaviest_first, votes, signals)
