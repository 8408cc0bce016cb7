"""Predictions that are asked the same of one recorded query again and again, plan after plan, and answer once.

Plans that are replayed on a query begin with the same look and draw the same samples in the same order: what is said
of a sample is a matter of the sample, the votes so far and the look. When it fails: predictions that also look at
earlier samples, or at clocks.
"""

from __future__ import annotations

from dataclasses import replace

from predictors import Look, Predictions
from predictors.observation import Observation, Query, Sample, Signals, Tally
from router.allocation.growing_signals import OfTraces
from router.assemble import Service


class CachedPredictions:
    """`Predictions` of a replay that keep what they said of the query at hand; not thread-safe."""

    def __init__(self, predictions: Predictions) -> None:
        self._predictions = predictions
        self.version = predictions.version
        self._query: str | None = None  # its id
        self._look = Look()
        self._said: dict[tuple[Sample, Tally], Signals] = {}

    def look(self, query: Query) -> Look:
        """See `Predictions.look`; queries are told apart by their ids."""
        if query.request_id != self._query:
            self._look, self._said = self._predictions.look(query), {}
            self._query = query.request_id
        return self._look

    def confidence(self, seen: Observation, look: Look) -> Signals:
        """See `Predictions.confidence`; `look` is what `look` said of this query."""
        latest = seen.latest
        if latest is None or look is not self._look:
            return self._predictions.confidence(seen, look)
        key = latest, seen.tally
        said = self._said.get(key)
        if said is None:
            said = self._said[key] = self._predictions.confidence(seen, look)
        return said

    def growing(self, seen: Observation) -> Signals:
        """Signals about a sample that grows: not kept, since they are about its whole trace."""
        return self._predictions.growing(seen) if isinstance(self._predictions, OfTraces) else {}


def cache_predictions(service: Service) -> None:
    """Let the service's allocator ask each thing about a query once, as long as its queries come one after another."""
    books = service.allocator.books
    books.chooser = replace(books.chooser, predictions=CachedPredictions(books.chooser.predictions))
