"""Predictions without what they say about plans whose rules have changed since the fit: those count as not learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from predictors import Look, Predictions
from predictors.exits import EVERYWHERE, Looks
from predictors.observation import Observation, Query, Signals
from predictors.typical_queries import TypicalQueries
from router.growing_signals import OfTraces
from router.learned_rules import KnowsStops
from router.quality_price import KnowsTraffic
from router.risk_thresholds import Calibrated, KnowsExits


@dataclass(frozen=True, slots=True)
class WithoutPlans:
    """`predictions` but for the signals plan_quality/P and plan_samples/P/I of `plans`."""

    predictions: Predictions
    plans: frozenset[str]

    @property
    def version(self) -> str:
        """What was learned is the same."""
        return self.predictions.version

    def look(self, query: Query) -> Look:
        """See `Predictions.look`."""
        look = self.predictions.look(query)
        return replace(
            look, signals={name: value for name, value in look.signals.items() if not self._about(name)}
        )

    def confidence(self, seen: Observation, look: Look) -> Signals:
        """See `Predictions.confidence`."""
        return self.predictions.confidence(seen, look)

    def growing(self, seen: Observation) -> Signals:
        """See `router.growing_signals.OfTraces`."""
        return self.predictions.growing(seen) if isinstance(self.predictions, OfTraces) else {}

    def risk_threshold(self, first: str, then: str, risk: float) -> float | None:
        """See `router.risk_thresholds.Calibrated`."""
        return (
            self.predictions.risk_threshold(first, then, risk)
            if isinstance(self.predictions, Calibrated)
            else None
        )

    def exit_threshold(self, backend: str, risk: float, looks: Looks = EVERYWHERE) -> float | None:
        """See `router.risk_thresholds.KnowsExits`."""
        return (
            self.predictions.exit_threshold(backend, risk, looks)
            if isinstance(self.predictions, KnowsExits)
            else None
        )

    def learned_stop(self, backend: str, most: int) -> tuple[tuple[float, ...], float] | None:
        """See `router.learned_rules.KnowsStops`."""
        return (
            self.predictions.learned_stop(backend, most) if isinstance(self.predictions, KnowsStops) else None
        )

    def self_eval(self, backend: str, words: str) -> tuple[float, float] | None:
        """See `router.learned_rules.KnowsStops`."""
        return (
            self.predictions.self_eval(backend, words) if isinstance(self.predictions, KnowsStops) else None
        )

    @property
    def typical(self) -> TypicalQueries | None:
        """See `router.quality_price.KnowsTraffic`; without the signals about changed plans."""
        typical = self.predictions.typical if isinstance(self.predictions, KnowsTraffic) else None
        if typical is None:
            return None
        kept = [at for at, name in enumerate(typical.names) if not self._about(name)]
        names = tuple(typical.names[at] for at in kept)
        return replace(typical, names=names, values=typical.values[:, kept])

    def _about(self, signal: str) -> bool:
        what, _, about = signal.partition("/")
        if what in {"plan_quality", "table_quality", "helps"}:
            return about in self.plans
        return what == "plan_samples" and about.rpartition("/")[0] in self.plans


def changed_plans(fitted: Mapping[str, str], configured: Mapping[str, str]) -> frozenset[str]:
    """Names that stand for another action now; both arguments: plan name -> digest."""
    return frozenset(name for name, digest in configured.items() if fitted.get(name, digest) != digest)
