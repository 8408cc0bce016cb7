"""What is told of a sample that is still growing: what going on would bring, and whether it goes in circles."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from predictors.looping import looping
from predictors.observation import Observation, Sample, Signals
from router.domain.growth import Growth


@runtime_checkable
class OfTraces(Protocol):
    """Predictions that know growing samples; those that do not lack the method."""

    def growing(self, seen: Observation) -> Signals:
        """Signals about the latest sample of `seen`, which grows. Must not block or do I/O."""
        ...


def growing_signals(
    predictions: object, seen: Observation, sample: Sample, growth: Growth | None
) -> dict[str, float]:
    """Signals under `<what>/<sample_id>`; nothing where nobody looks."""
    found: dict[str, float] = {}
    if growth is None:
        return found
    if growth.repeats:
        found[f"looping/{sample.sample_id}"] = looping(sample.reasoning + sample.text)
    if growth.answers and isinstance(predictions, OfTraces):
        found.update(predictions.growing(seen))
    return found
