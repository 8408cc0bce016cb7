"""Which answer. To add a selector, write a module here and give it a line in `SELECTORS`.

A selector is a frozen dataclass, every field with a default, and one method. One that asks another backend has
`asks` and `questions` besides (`router.domain.asking`); its `select` is what holds where nobody may be asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from predictors.observation import Sample, Signals, Tally


@dataclass(frozen=True, slots=True)
class Selection:
    """The samples to answer with, best first (distinct), and the confidence in the first, in [0, 1] or None."""

    samples: tuple[Sample, ...]
    confidence: float | None


@runtime_checkable
class Selector(Protocol):
    """Finished samples in; the answer and its confidence out."""

    def select(self, samples: Sequence[Sample], tally: Tally, signals: Signals) -> Selection:
        """Choose among `samples` (at least one, finished, in order of arrival). `tally` counts exactly these.

        `signals` may hold `sample_confidence/<sample_id>`, the calibrated P(right) of a sample, and
        `verified/<sample_id>`, a verifier's score in [0, 1]. Deterministic; what is tied goes to the earliest sample.
        Every sample of the result is one of `samples`; the first is the answer.
        """
        ...


SELECTORS = {
    "first": "router.selectors.first:First",
    "majority": "router.selectors.majority:Majority",
    "weighted": "router.selectors.weighted:Weighted",
    "path_probability": "router.selectors.path_probability:PathProbability",
    "inverse_entropy": "router.selectors.inverse_entropy:InverseEntropy",
    "best_of_majority": "router.selectors.best_of_majority:BestOfMajority",
    "medoid": "router.selectors.medoid:Medoid",
    "surprisal": "router.selectors.surprisal:Surprisal",
    "tool_calls": "router.selectors.tool_calls:ToolCalls",
    "most_confident": "router.selectors.most_confident:MostConfident",
    "judge": "router.selectors.judge:Judge",
    "pairwise": "router.selectors.pairwise:Pairwise",
    "synthesis": "router.selectors.synthesis:Synthesis",
}
