"""What predictions say about plans, under the names of today: a plan is what it does, whatever it is called.

Plans whose rules have changed since the fit count as not learned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from predictors import Look, Predictions
from predictors.card import BundleCard
from predictors.exits import EVERYWHERE, Looks
from predictors.observation import Observation, Query, Signals
from predictors.typical_queries import TypicalQueries
from router.allocation.growing_signals import OfTraces
from router.first_decision.quality_price import KnowsTraffic
from router.learned_plans.learned_rules import KnowsStops
from router.learned_plans.risk_thresholds import Calibrated, KnowsExits


@dataclass(frozen=True, slots=True)
class WithoutPlans:
    """`predictions` but for the signals about `plans`; those about `renamed` (then -> now) under the new name."""

    predictions: Predictions
    plans: frozenset[str]
    renamed: Mapping[str, str] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """What was learned is the same."""
        return self.predictions.version

    @property
    def card(self) -> BundleCard | None:
        """As its bundle's."""
        return getattr(self.predictions, "card", None)

    def look(self, query: Query) -> Look:
        """See `Predictions.look`."""
        look = self.predictions.look(query)
        found = {}
        for name, value in look.signals.items():
            now = self._now(name)
            if now:
                found[now] = value
        return replace(look, signals=found)

    def confidence(self, seen: Observation, look: Look) -> Signals:
        """See `Predictions.confidence`."""
        return self.predictions.confidence(seen, look)

    def growing(self, seen: Observation) -> Signals:
        """See `router.allocation.growing_signals.OfTraces`."""
        return self.predictions.growing(seen) if isinstance(self.predictions, OfTraces) else {}

    def risk_threshold(self, first: str, then: str, risk: float) -> float | None:
        """See `router.learned_plans.risk_thresholds.Calibrated`."""
        return (
            self.predictions.risk_threshold(first, then, risk)
            if isinstance(self.predictions, Calibrated)
            else None
        )

    def exit_threshold(self, backend: str, risk: float, looks: Looks = EVERYWHERE) -> float | None:
        """See `router.learned_plans.risk_thresholds.KnowsExits`."""
        return (
            self.predictions.exit_threshold(backend, risk, looks)
            if isinstance(self.predictions, KnowsExits)
            else None
        )

    def learned_stop(self, backend: str, most: int) -> tuple[tuple[float, ...], float] | None:
        """See `router.learned_plans.learned_rules.KnowsStops`."""
        return (
            self.predictions.learned_stop(backend, most) if isinstance(self.predictions, KnowsStops) else None
        )

    def self_eval(self, backend: str, words: str) -> tuple[float, float] | None:
        """See `router.learned_plans.learned_rules.KnowsStops`."""
        return (
            self.predictions.self_eval(backend, words) if isinstance(self.predictions, KnowsStops) else None
        )

    @property
    def typical(self) -> TypicalQueries | None:
        """See `router.first_decision.quality_price.KnowsTraffic`; without the signals about changed plans."""
        typical = self.predictions.typical if isinstance(self.predictions, KnowsTraffic) else None
        if typical is None:
            return None
        named = tuple(map(self._now, typical.names))
        kept = [at for at, name in enumerate(named) if name]
        names = tuple(filter(None, named))
        return replace(typical, names=names, values=typical.values[:, kept])

    def _now(self, signal: str) -> str:
        """What a signal is called now; "" where it is about a plan that counts as not learned."""
        what, _, plan = signal.partition("/")
        stage = ""
        if what == "plan_samples":
            plan, _, number = plan.rpartition("/")
            stage = f"/{number}"
        elif what not in {"plan_quality", "table_quality", "helps"}:
            return signal
        if plan in self.renamed:
            return f"{what}/{self.renamed[plan]}{stage}"
        return "" if plan in self.plans else signal


def changed_plans(fitted: Mapping[str, str], configured: Mapping[str, str]) -> frozenset[str]:
    """Names that stand for another action now; both arguments: plan name -> digest."""
    return frozenset(name for name, digest in configured.items() if fitted.get(name, digest) != digest)


def renamed_plans(fitted: Mapping[str, str], configured: Mapping[str, str]) -> dict[str, str]:
    """Names under which plans were fitted -> what the same action is called now; both: plan name -> digest."""
    now = {digest: name for name, digest in configured.items()}
    return {
        name: now[digest]
        for name, digest in fitted.items()
        if digest in now and configured.get(name) != digest
    }
