"""Votes weighed by how certain the model was while writing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from predictors.observation import Sample, Signals, Tally
from router.errors import ConfigError
from router.selectors import Selection, Selector
from router.selectors.vote_groups import by_class, ranked_answers


@dataclass(frozen=True, slots=True)
class InverseEntropy(Selector):
    """A vote counts 1 / H, H the sample's mean token entropy; a class's score is the sum.

    Inverse-entropy voting (The Sequential Edge, Sharma & Chopra 2025). H is estimated by -mean_logprob, whose mean
    over samples is the entropy of what the model writes; at least `least`, so that one copied sentence does not outvote
    all. A sample without log-probabilities counts as the median of the others; without any it is the majority. Fails
    where fluent wrong answers are the likeliest ones, and after a low temperature, where all entropies are near 0.
    """

    least: float = 0.02  # nats per token, > 0

    def __post_init__(self) -> None:
        if not self.least > 0:
            raise ConfigError(f"inverse_entropy: least must be above 0, got {self.least}")

    def select(self, samples: Sequence[Sample], tally: Tally, signals: Signals) -> Selection:
        """The heaviest class's earliest sample first."""
        groups = by_class(samples)
        known = sorted(
            max(self.least, -sample.mean_logprob) for sample in samples if sample.mean_logprob is not None
        )
        middle = known[len(known) // 2] if known else 1.0

        def weight(sample: Sample) -> float:
            return 1 / (middle if sample.mean_logprob is None else max(self.least, -sample.mean_logprob))

        score = {key: sum(map(weight, group)) for key, group in groups.items()}
        return ranked_answers(samples, groups, score, signals)
