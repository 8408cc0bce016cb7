"""What is counted of every logged row. A few dictionary additions: see `DECISIONS.md` for what they cost."""

from __future__ import annotations

from router.domain.decision import Decision
from router.shadow import SHADOW_RUN
from router.telemetry.accumulate import Accumulated, Counts, Histograms, Means, Names

SECONDS = (
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
    30,
    60,
    120,
)
SAMPLES = (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 64)
MOST_WORDS = 64  # of reasons: ours are few, and a plug-in may invent some
MOST_SENTENCES = 2000  # whose kind is remembered

# What a sentence of `degraded` begins with (or contains, after "…"), and its kind. The first that fits counts.
KINDS = (
    ("no bundle", "untrained"),
    ("the reference plan", "reference_infeasible"),
    ("the deadline passed", "deadline"),
    ("…took over from", "other_plan"),
    ("…may be late", "late"),
    ("…failed:", "backend_failed"),
    ("…is in quarantine", "backend_closed"),
    ("…by an operator", "backend_closed"),
    ("…where max_tokens was", "backend_overran"),
    ("…keeps the risk", "risk_not_kept"),
    ("samples of the caller", "reported_later"),
)


class Decided:
    """Sees every row: call it with a decision."""

    def __init__(self, tenants: int) -> None:
        self.decisions, self.policy, self.by_tenant = Counts(), Counts(), Counts()
        self.explored, self.unusable, self.degraded = Counts(), Counts(), Counts()
        self.samples_per_query, self.query_seconds = Histograms(SAMPLES), Histograms(SECONDS)
        self.samples, self.stops, self.tokens = Counts(), Counts(), Counts()
        self.cost, self.plan_cost, self.tenant_cost, self.charged = Counts(), Counts(), Counts(), Counts()
        self.predicted, self.failures = Means(), Counts()
        self._tenants, self._reasons, self._words = Names(tenants), Names(MOST_WORDS), Names(MOST_WORDS)
        self._stops: dict[str, str] = {}
        self._kinds: dict[str, tuple[str, str]] = {}

    def __call__(self, row: Decision) -> None:
        """Count a row. What shadow runs did is counted where risk is; what they cost is counted here too."""
        for name, used in row.usage.items():
            self.samples.add((name,), used.samples)
            self.tokens.add((name, "in"), used.tokens_in)
            self.tokens.add((name, "cached"), used.tokens_cached)
            self.tokens.add((name, "out"), used.tokens_out)
            self.tokens.add((name, "reasoning"), used.tokens_reasoning)
            self.cost.add((name,), row.costs.get(name, 0.0) * 1e-6)
        if row.unusable_reason == SHADOW_RUN:
            return
        plan, tenant = (row.plan,), (self._tenants(row.tenant),)
        self.decisions.add((row.plan, row.status.value, row.mode.value))
        self.policy.add((row.policy,))
        self.by_tenant.add(tenant)
        self.stops.add((row.plan, self._stop(row.stop_reason)))
        self.samples_per_query.add(plan, len(row.samples))
        self.plan_cost.add(plan, row.cost * 1e-6)
        self.tenant_cost.add(tenant, row.cost * 1e-6)
        self.charged.add((), row.charged * 1e-6)
        forecast = row.forecasts.get(row.plan)
        if forecast is not None and forecast[0] is not None:
            self.predicted.add(plan, forecast[0])
        seconds = self.query_seconds
        for phase, took_s in row.phases.items():
            seconds.add((phase,), took_s)
        seconds.add(("whole",), row.latency_s)
        if row.first_text_s is not None:
            seconds.add(("first_text",), row.first_text_s)
        if row.explored:
            self.explored.add(())
        if row.unusable_reason:
            self.unusable.add((self._reasons(row.unusable_reason),))
        for text in row.degraded:
            self._degraded(text)

    def series(self) -> dict[str, Accumulated]:
        """By the name of the metric."""
        return {
            "apportion_decisions_total": self.decisions,
            "apportion_policy_total": self.policy,
            "apportion_tenant_decisions_total": self.by_tenant,
            "apportion_explored_total": self.explored,
            "apportion_unusable_total": self.unusable,
            "apportion_degraded_total": self.degraded,
            "apportion_samples_per_query": self.samples_per_query,
            "apportion_samples_total": self.samples,
            "apportion_stops_total": self.stops,
            "apportion_tokens_total": self.tokens,
            "apportion_cost_dollars_total": self.cost,
            "apportion_plan_cost_dollars_total": self.plan_cost,
            "apportion_tenant_cost_dollars_total": self.tenant_cost,
            "apportion_charged_dollars_total": self.charged,
            "apportion_predicted_quality": self.predicted,
            "apportion_query_seconds": self.query_seconds,
            "apportion_backend_failures_total": self.failures,
        }

    def _stop(self, said: str) -> str:
        label = self._stops.get(said)
        if label is None:
            label = self._words(stop_word(said))
            if len(self._stops) < MOST_SENTENCES:
                self._stops[said] = label
        return label

    def _degraded(self, text: str) -> None:
        found = self._kinds.get(text)
        if found is None:
            found = degraded_kind(text)
            if len(self._kinds) < MOST_SENTENCES:
                self._kinds[text] = found
        kind, backend = found
        self.degraded.add((kind,))
        if backend:
            self.failures.add((backend,))


def stop_word(said: str) -> str:
    """`enough: Agreement` as it is; of sentences about one query what stands before the colon."""
    head, colon, rest = said.partition(": ")
    if head in {"enough", "escalate", "prune"}:
        return f"{head}: {rest}" if colon else head
    return {"the deadline": "deadline", "": "none"}.get(head, head)


def degraded_kind(text: str) -> tuple[str, str]:
    """The kind of a sentence, and the backend that failed where it says so."""
    for beginning, kind in KINDS:
        inside = beginning.startswith("…")
        if (beginning[1:] in text) if inside else text.startswith(beginning):
            backend = text.split("'")[1] if kind == "backend_failed" and text.count("'") > 1 else ""
            return kind, backend
    return "other", ""
