"""What may be said without having learned anything: nothing about a query, something about its samples.

The confidence of a sample is the lowest of what is known: its path probability exp(mean_logprob), the share of votes
for its answer, and what the model states, shrunk towards a coin flip. When it fails: models are more certain than they
are right; hence the shrinking, and hence `version` is "".
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

from predictors import Look
from predictors.observation import Observation, Query, Signals

_TRUST = 0.8  # how far from 1/2 an uncalibrated number may move the confidence; a guess on the safe side
_EXTRA_VOTES = 1.0  # as if one more sample had disagreed: a single vote says nothing about agreement


@dataclass(frozen=True, slots=True)
class Untrained:
    """Predictions before the first bundle."""

    version: str = ""

    def look(self, query: Query) -> Look:
        return Look()

    def confidence(self, seen: Observation, look: Look) -> Signals:
        latest = seen.latest
        if latest is None:
            return {}
        known = []
        if latest.mean_logprob is not None:
            known.append(exp(min(0.0, latest.mean_logprob)))
        if latest.confidence is not None:
            known.append(min(1.0, max(0.0, latest.confidence)))
        counts, own = seen.tally.counts, latest.answer_class
        if seen.tally.votes > 1 and own is not None and own < len(counts):
            known.append(counts[own] / (seen.tally.votes + _EXTRA_VOTES))
        if not known:
            return {}
        value = 0.5 + _TRUST * (min(known) - 0.5)
        return {"sample_confidence": value, f"sample_confidence/{latest.sample_id}": value}
