"""The sample that arrived first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from predictors.observation import Sample, Signals, Tally
from router.selectors import Selection, Selector


@dataclass(frozen=True, slots=True)
class First(Selector):
    """Samples in order of arrival. Fails with several samples: it throws away what the others say."""

    def select(self, samples: Sequence[Sample], tally: Tally, signals: Signals) -> Selection:
        """The earliest first."""
        first = samples[0]
        return Selection(
            tuple(samples), signals.get(f"sample_confidence/{first.sample_id}", first.confidence)
        )
