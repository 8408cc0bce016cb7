"""The answer with most confidence behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

from predictors.evidence import heft_of
from predictors.observation import Sample, Signals, Tally
from router.errors import ConfigError
from router.selectors import Selection, Selector
from router.selectors.most_confident import known_confidence
from router.selectors.vote_groups import by_class, ranked_answers


@dataclass(frozen=True, slots=True)
class Weighted(Selector):
    """Votes count exp(evidence), where a bundle says what samples are worth for themselves, else
    exp(confidence / temperature): a class's score is their sum.

    The first are likelihood ratios (`predictors.evidence`), and of equal ones it is the majority; the second is
    confidence-informed self-consistency (CISC, Taubenfeld et al. 2025). A sample's confidence is what was predicted,
    else what the model stated, else exp(mean log-probability); one without any counts as the mean of the others, so
    without confidences it is the majority. A high temperature is the majority, a low one the most confident sample.
    Fails where confidence does not tell right from wrong within a query, however well it does between queries.
    """

    temperature: float = 0.3  # in confidence, > 0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError(f"weighted: temperature must be above 0, got {self.temperature}")

    def select(self, samples: Sequence[Sample], tally: Tally, signals: Signals) -> Selection:
        """The heaviest class's earliest sample first."""
        groups = by_class(samples)
        hefts = {sample.sample_id: heft_of(sample, signals) for sample in samples}
        if any(heft is not None for heft in hefts.values()):
            told = {}
            for key, group in groups.items():
                mine = [hefts[sample.sample_id] for sample in group]
                told[key] = sum([1.0 if heft is None else heft for heft in mine])
            return ranked_answers(samples, groups, told, signals)
        known = {sample.sample_id: known_confidence(sample, signals) for sample in samples}
        stated = [value for value in known.values() if value is not None]
        mean, best = (sum(stated) / len(stated), max(stated)) if stated else (0.0, 0.0)

        def weight(sample: Sample) -> float:
            value = known[sample.sample_id]
            return exp(((mean if value is None else value) - best) / self.temperature)

        score = {key: sum(map(weight, group)) for key, group in groups.items()}
        return ranked_answers(samples, groups, score, signals)
