"""Among the frequent answers the one with the best reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from predictors.observation import Sample, Signals, Tally
from router.errors import ConfigError
from router.selectors import Selection, Selector
from router.selectors.most_confident import confidence_of
from router.selectors.vote_groups import by_class, ranked_answers


@dataclass(frozen=True, slots=True)
class BestOfMajority(Selector):
    """Answers with at least `share` of the votes first, among them by reward; the others after them, by votes.

    Best-of-Majority (2025): the frequency filter keeps best-of-n from being fooled more with every sample, the reward
    decides where the majority is narrow. The reward of an answer is the mean of `verified/<sample_id>` (a verifier's
    score) over its samples where there is one, else of their confidences. Equal rewards: more votes, then the class
    that came first. Without rewards it is the majority. Fails where the right answer is rare (below `share`) and where
    the reward prefers a popular wrong one.
    """

    share: float = 0.25  # of the votes, (0, 1]

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ConfigError(f"best_of_majority: share must be in (0, 1], got {self.share}")

    def select(self, samples: Sequence[Sample], tally: Tally, signals: Signals) -> Selection:
        """The best frequent class, by the sample of the highest reward in it."""
        groups = by_class(samples)
        most = max(map(len, groups.values()), default=0)
        # the most frequent is always frequent: where no answer reaches the share, nothing is left out of its like
        enough = min(self.share * sum(map(len, groups.values())), most)
        by_votes = dict(sorted(groups.items(), key=lambda entry: len(entry[1]), reverse=True))
        score = {}
        for key, group in by_votes.items():
            reward = sum(reward_of(sample, signals) for sample in group) / len(group)
            score[key] = 1 + reward if len(group) >= enough else len(group) / (most + 1)
        selection = ranked_answers(
            samples,
            by_votes,
            score,
            signals,
            speaker=lambda group: max(group, key=lambda sample: reward_of(sample, signals)),
        )
        if not groups:
            return selection
        winner = groups[selection.samples[0].answer_class]
        votes = len(winner) / sum(map(len, groups.values()))
        known = signals.get(f"sample_confidence/{winner[-1].sample_id}", votes)
        return Selection(selection.samples, known)


def reward_of(sample: Sample, signals: Signals) -> float:
    """A verifier's score, else the confidence, in [0, 1]."""
    return signals.get(f"verified/{sample.sample_id}", confidence_of(sample, signals))
