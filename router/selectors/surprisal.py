"""Among samples that were verified the least likely one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from predictors.observation import Sample, Signals, Tally
from router.selectors import Selection, Selector
from router.selectors.majority import Majority


@dataclass(frozen=True, slots=True)
class Surprisal(Selector):
    """The best `verified/<sample_id>` score first; of equal scores the highest mean surprisal, -mean_logprob.

    Surprisal-guided selection (2026): of programs that all pass, those that the model would rarely write do best where
    the reward is dense (speed, size). Where no sample has a score it is the majority: without a verifier surprisal
    points at what is wrong, the opposite of `path_probability`. Samples without log-probabilities come last among
    their equals. Fails where passing is all that counts, and with a verifier that lets wrong answers pass: rare answers
    are where its mistakes are.
    """

    def select(self, samples: Sequence[Sample], tally: Tally, signals: Signals) -> Selection:
        """The most surprising of the best."""
        scores = [signals.get(f"verified/{sample.sample_id}") for sample in samples]
        if all(score is None for score in scores):
            return Majority().select(samples, tally, signals)
        graded = [
            (score if score is not None else -1.0, surprisal(sample))
            for sample, score in zip(samples, scores, strict=True)
        ]
        order = sorted(range(len(samples)), key=graded.__getitem__, reverse=True)  # stable
        return Selection(tuple(samples[index] for index in order), min(1.0, max(0.0, graded[order[0]][0])))


def surprisal(sample: Sample) -> float:
    """Nats per token, >= 0; 0 where it is not known."""
    return 0.0 if sample.mean_logprob is None else -sample.mean_logprob
