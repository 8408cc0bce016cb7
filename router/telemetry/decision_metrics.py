"""What is counted of every logged row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from router.domain.decision import Decision, Mode, Status
from router.shadow import SHADOW_RUN
from router.telemetry.accumulators import OTHER, Accumulated, Bars, Counts, Histograms, Mean, Means, Names

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
MOST_SENTENCES = 1000  # that are told apart before their kinds are found out
WHOLE, FIRST_TEXT = ("whole",), ("first_text",)
BARS = len(SAMPLES) + 1

# What a sentence of `degraded` begins with (or contains, after "…"), and its kind. The first that fits counts.
KINDS = (
    ("no bundle", "untrained"),
    ("the reference plan", "reference_infeasible"),
    ("the deadline passed", "deadline"),
    ("…began again", "other_server"),
    ("…took over from", "other_plan"),
    ("…may be late", "late"),
    ("…failed:", "backend_failed"),
    ("…is in quarantine", "backend_closed"),
    ("…by an operator", "backend_closed"),
    ("…where max_tokens was", "backend_overran"),
    ("…keeps the risk", "risk_not_kept"),
    ("samples of the caller", "reported_later"),
    ("hidden states of", "no_hidden_states"),
)


@dataclass(slots=True)
class _OfBackend:
    samples: int = 0
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    tokens_reasoning: int = 0
    micros: float = 0.0


@dataclass(slots=True)
class _OfPlan:
    samples: Bars
    ended: dict[tuple[Status, Mode], int] = field(default_factory=dict)
    stops: dict[str, int] = field(default_factory=dict)  # by what the row says
    micros: float = 0.0
    quality: Mean = field(default_factory=Mean)


@dataclass(slots=True)
class _OfTenant:
    rows: int = 0
    micros: float = 0.0


class DecisionMetrics:
    """Sees every row: call it with a decision. One look-up per backend, plan, tenant and phase, and additions."""

    def __init__(self, tenants: int) -> None:
        self._backends: dict[str, _OfBackend] = {}
        self._plans: dict[str, _OfPlan] = {}
        self._tenants: dict[str, _OfTenant] = {}
        self._policies: dict[str, int] = {}
        self._sentences: dict[str, int] = {}  # of `degraded`
        self._unusable: dict[str, int] = {}
        # backend and how the hidden states of a sample were had
        self._states: dict[tuple[str, str], int] = {}
        self._most_tenants = tenants
        self._explored = self._charged = 0
        self._seconds = Histograms(SECONDS)

    def __call__(self, row: Decision) -> None:
        """Count a row. What shadow runs did is counted where risk is; what they used is counted here too."""
        for name, used in row.usage.items():
            backend = self._backends.get(name) or self._backends.setdefault(name, _OfBackend())
            backend.samples += used.samples
            backend.tokens_in += used.tokens_in
            backend.tokens_cached += used.tokens_cached
            backend.tokens_out += used.tokens_out
            backend.tokens_reasoning += used.tokens_reasoning
            backend.micros += row.costs.get(name, 0.0)
        if row.unusable_reason == SHADOW_RUN:
            return
        plan = self._plans.get(row.plan) or self._plans.setdefault(row.plan, _OfPlan(Bars([0] * BARS)))
        ended = row.status, row.mode
        plan.ended[ended] = plan.ended.get(ended, 0) + 1
        _one_more(plan.stops, row.stop_reason, stop_word)
        plan.samples.add(SAMPLES, len(row.samples))
        plan.micros += row.cost
        forecast = row.forecasts.get(row.plan)
        if forecast is not None and forecast[0] is not None:
            plan.quality.add(forecast[0])
        tenant = self._tenants.get(row.tenant) or self._tenant(row.tenant)
        tenant.rows += 1
        tenant.micros += row.cost
        self._charged += row.charged
        self._explored += row.explored
        _one_more(self._policies, row.policy)
        seconds = self._seconds
        for phase, took_s in row.phases.items():
            seconds.add((phase,), took_s)
        seconds.add(WHOLE, row.latency_s)
        if row.first_text_s is not None:
            seconds.add(FIRST_TEXT, row.first_text_s)
        if row.unusable_reason:
            _one_more(self._unusable, row.unusable_reason)
        for text in row.degraded:
            _one_more(self._sentences, text, degraded_like)
        for sample in row.samples:
            if sample.states:
                had = sample.backend, sample.states
                self._states[had] = self._states.get(had, 0) + 1

    def series(self) -> dict[str, Accumulated]:
        """By the name of the metric; what one sentence stands for is found out here."""
        plans, backends, tenants = self._plans.items(), self._backends.items(), self._tenants.items()
        return {
            "apportion_decisions_total": Counts(
                {
                    (name, status.value, mode.value): float(rows)
                    for name, plan in plans
                    for (status, mode), rows in plan.ended.items()
                }
            ),
            "apportion_policy_total": _by_label(self._policies),
            "apportion_tenant_decisions_total": Counts({(name,): float(one.rows) for name, one in tenants}),
            "apportion_explored_total": Counts({(): float(self._explored)}),
            "apportion_unusable_total": _by_label(self._unusable),
            "apportion_degraded_total": self._kinds(0),
            "apportion_backend_failures_total": self._kinds(1),
            "apportion_samples_per_query": Histograms(
                SAMPLES, {(name,): plan.samples for name, plan in plans}
            ),
            "apportion_samples_total": Counts({(name,): float(one.samples) for name, one in backends}),
            "apportion_stops_total": self._stops(),
            "apportion_hidden_states_total": Counts({had: float(n) for had, n in self._states.items()}),
            "apportion_tokens_total": Counts(
                {
                    (name, kind): float(getattr(one, f"tokens_{kind}"))
                    for name, one in backends
                    for kind in ("in", "cached", "out", "reasoning")
                }
            ),
            "apportion_cost_dollars_total": Counts({(name,): one.micros * 1e-6 for name, one in backends}),
            "apportion_plan_cost_dollars_total": Counts(
                {(name,): plan.micros * 1e-6 for name, plan in plans}
            ),
            "apportion_tenant_cost_dollars_total": Counts(
                {(name,): one.micros * 1e-6 for name, one in tenants}
            ),
            "apportion_charged_dollars_total": Counts({(): self._charged * 1e-6}),
            "apportion_predicted_quality": Means(
                {(name,): plan.quality for name, plan in plans if plan.quality.count}
            ),
            "apportion_query_seconds": self._seconds,
        }

    def _tenant(self, name: str) -> _OfTenant:
        known = name if len(self._tenants) < self._most_tenants else OTHER
        return self._tenants.setdefault(known, _OfTenant())

    def _stops(self) -> Counts:
        found = Counts()
        for name, plan in self._plans.items():
            words = Names(MOST_WORDS)
            for said, rows in plan.stops.items():
                found.add((name, words(stop_word(said))), rows)
        return found

    def _kinds(self, place: int) -> Counts:
        found = Counts()
        for text, rows in self._sentences.items():
            if label := degraded_kind(text)[place]:
                found.add((label,), rows)
        return found


def _one_more(counts: dict[str, int], name: str, like: Callable[[str], str] | None = None) -> None:
    """Count a text; after `MOST_SENTENCES` different ones a new one as what `like` says, or as one of the others."""
    if name not in counts and len(counts) >= MOST_SENTENCES:
        name = like(name) if like is not None and len(counts) < 2 * MOST_SENTENCES else OTHER
    counts[name] = counts.get(name, 0) + 1


def _by_label(counts: dict[str, int]) -> Counts:
    words, found = Names(MOST_WORDS), Counts()
    for name, rows in counts.items():
        found.add((words(name),), rows)
    return found


def stop_word(said: str) -> str:
    """`enough: agreement` as it is; of sentences about one query what stands before the colon."""
    head, colon, rest = said.partition(": ")
    if head in {"enough", "escalate", "prune"}:
        return f"{head}: {rest}" if colon else head
    return {"the deadline": "deadline", "": "none"}.get(head, head)


def degraded_like(text: str) -> str:
    """A sentence of the same kind, and backend; one for each."""
    kind, backend = degraded_kind(text)
    if backend:
        return f"backend '{backend}' failed:"
    return next((beginning.removeprefix("…") for beginning, known in KINDS if known == kind), OTHER)


def degraded_kind(text: str) -> tuple[str, str]:
    """The kind of a sentence, and the backend that failed where it says so."""
    for beginning, kind in KINDS:
        inside = beginning.startswith("…")
        if (beginning[1:] in text) if inside else text.startswith(beginning):
            backend = text.split("'")[1] if kind == "backend_failed" and text.count("'") > 1 else ""
            return kind, backend
    return "other", ""
