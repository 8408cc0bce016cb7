"""Predictions about the queries that they were fitted on, each made without that query's fold.

What replays plans over training queries must not know their outcomes: signals come from held-out heads, the
confidence of samples from a head fitted on the other folds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from predictors import Look
from predictors.bundle import Bundle
from predictors.exits import EVERYWHERE, Looks
from predictors.observation import Observation, Query, Signals
from router.backends.recorded import QUERY_ID
from training.fit.heads import Fitted


@dataclass(frozen=True, slots=True)
class HeldOut:
    """`Predictions` for the queries of one recording that a fit has seen."""

    fitted: Fitted = field(compare=False)
    places: Mapping[str, int] = field(compare=False)  # query id -> index into the fit's rows
    version: str = "held-out"
    # fold -> the bundle that judges samples without having seen it
    _without: Mapping[int, Bundle] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        bundle, heads = self.fitted.bundle, self.fitted.samples.folds
        folds = set(self.fitted.folds.tolist())
        without = {part: replace(bundle, sample_head=heads.get(part)) for part in folds}
        object.__setattr__(self, "_without", without)

    def look(self, query: Query) -> Look:
        place = self.places[query.metadata[QUERY_ID]]
        features = self.fitted.features[place]
        bundle = self.fitted.bundle
        return Look(
            bundle.name(
                self.fitted.query.held_out[place], self.fitted.query.x[place], self.fitted.tokens[place]
            ),
            features.dense,
        )

    def risk_threshold(self, first: str, then: str, risk: float) -> float | None:
        """As the bundle says: its curves are made of held-out confidences."""
        return self.fitted.bundle.risk_threshold(first, then, risk)

    def exit_threshold(self, backend: str, risk: float, looks: Looks = EVERYWHERE) -> float | None:
        """The same."""
        return self.fitted.bundle.exit_threshold(backend, risk, looks)

    def learned_stop(self, backend: str, most: int) -> tuple[tuple[float, ...], float] | None:
        """The same: a few weights for all queries, taken only where they held on queries that they had not seen."""
        return self.fitted.bundle.learned_stop(backend, most)

    def self_eval(self, backend: str, words: str) -> tuple[float, float] | None:
        """As the bundle says: two numbers for all queries."""
        return self.fitted.bundle.self_eval(backend, words)

    def confidence(self, seen: Observation, look: Look) -> Signals:
        place = self.places[seen.query.metadata[QUERY_ID]]
        return self._without[int(self.fitted.folds[place])].confidence(seen, look)
