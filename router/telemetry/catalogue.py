"""Every metric: its name, kind, labels and meaning. The exposition knows no other, the reference is made from this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What may be done with a metric."""

    COUNTER = "counter"  # only grows; ends in _total
    GAUGE = "gauge"
    MEAN = "summary"  # NAME_sum / NAME_count is the mean
    HISTOGRAM = "histogram"


class Of(Enum):
    """What a gauge is of several workers, from what each of them says."""

    SUM = "their sum"
    MOST = "the largest"
    LEAST = "the smallest"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of this replica since its start."""

    kind: Kind
    labels: tuple[str, ...]
    meaning: str
    of: Of = Of.MOST  # of a gauge; what grows is summed


def _counter(meaning: str, *labels: str) -> Metric:
    return Metric(Kind.COUNTER, labels, meaning)


def _gauge(meaning: str, *labels: str, of: Of = Of.MOST) -> Metric:
    return Metric(Kind.GAUGE, labels, meaning, of)


def _mean(meaning: str, *labels: str) -> Metric:
    return Metric(Kind.MEAN, labels, meaning)


def _histogram(meaning: str, *labels: str) -> Metric:
    return Metric(Kind.HISTOGRAM, labels, meaning)


CATALOGUE: Mapping[str, Metric] = {
    # what is served
    "apportion_serving_info": _gauge(
        "1 for the version, mode, policy and bundle that serve now", "version", "mode", "policy", "bundle"
    ),
    "apportion_started_seconds": _gauge("When this replica started, seconds since the epoch", of=Of.LEAST),
    # decisions
    "apportion_decisions_total": _counter(
        "Logged queries by the plan that was served and how they ended (shadow runs are not among them)",
        "plan",
        "status",
        "mode",
    ),
    "apportion_policy_total": _counter(
        "Logged queries by who chose the plan: the policy, untrained, reference or forced", "policy"
    ),
    "apportion_tenant_decisions_total": _counter(
        "Logged queries by tenant; those beyond [metrics] tenants are `other`", "tenant"
    ),
    "apportion_explored_total": _counter("Queries whose plan was not the most probable one"),
    "apportion_unusable_total": _counter("Rows that off-policy evaluation leaves out, by reason", "reason"),
    "apportion_refused_total": _counter(
        "Calls that ended with an error, by door (grpc, openai) and reason (BUDGET, OVERLOAD, INVALID, …)",
        "door",
        "reason",
    ),
    "apportion_degraded_total": _counter(
        "Queries of which something was not as it should be, by what it was (fallbacks)", "kind"
    ),
    # samples and stopping
    "apportion_samples_per_query": _histogram("Finished samples of a query, by plan", "plan"),
    "apportion_samples_total": _counter("Samples started, those that were cut too, by backend", "backend"),
    "apportion_hidden_states_total": _counter(
        "Samples whose hidden states were wanted, by backend and how they were had: there, late, broken, resting "
        "(logprobs took their place)",
        "backend",
        "result",
    ),
    "apportion_stops_total": _counter(
        "How plans ended: the word of the rule and its name, or exhausted, deadline, abstained, …",
        "plan",
        "reason",
    ),
    "apportion_tokens_total": _counter(
        "Tokens by backend and kind: in, cached (of in), out, reasoning (of out)", "backend", "kind"
    ),
    # money
    "apportion_cost_dollars_total": _counter("What was used, at the backends' prices, by backend", "backend"),
    "apportion_plan_cost_dollars_total": _counter("The same by plan", "plan"),
    "apportion_tenant_cost_dollars_total": _counter(
        "The same by tenant; those beyond [metrics] tenants are `other`", "tenant"
    ),
    "apportion_charged_dollars_total": _counter("What the ledger charged"),
    "apportion_price": _gauge("Shadow price lambda of an account now, quality per dollar", "account"),
    "apportion_budget_limit": _gauge(
        "Limit of an account per window, in its unit; absent without one", "account", "unit"
    ),
    "apportion_budget_spent": _gauge("Spent in the window, over all replicas", "account", "unit"),
    "apportion_budget_reserved": _gauge("Set aside for queries in flight", "account", "unit"),
    "apportion_budget_left": _gauge(
        "What may still be reserved; absent without a limit", "account", "unit", of=Of.LEAST
    ),
    "apportion_budget_leased": _gauge("Taken in advance by replicas, spent by nobody yet", "account", "unit"),
    "apportion_budget_lost": _gauge(
        "Of what is spent: what replicas that died did not return", "account", "unit"
    ),
    "apportion_budget_breached": _gauge(
        "Used beyond reservations since the start, by backends that did more than they were allowed",
        "account",
        "unit",
        of=Of.SUM,
    ),
    "apportion_budget_over": _gauge(
        "Audit: by how much what is spent exceeds the limit; above 0 only after a breach, a limit that was lowered or "
        "[budget] away_share",
        "account",
        "unit",
    ),
    "apportion_budget_age_seconds": _gauge("Since the account was last seen in the shared store", "account"),
    "apportion_ledger_troubles": _gauge("What is not as it should be with the ledger, a number of sentences"),
    # quality
    "apportion_predicted_quality": _mean("Expected reward of the served plan, when it was chosen", "plan"),
    "apportion_realised_quality": _mean(
        "Outcomes in [0, 1] that were reported about recent decisions of this replica", "plan", "metric"
    ),
    "apportion_realised_prediction": _mean(
        "What had been predicted for the same decisions; compare with apportion_realised_quality",
        "plan",
        "metric",
    ),
    "apportion_calibration_confidence": _mean(
        "Confidence of the answers about which an outcome was reported, in ten bins of it", "metric", "bin"
    ),
    "apportion_calibration_outcome": _mean("Those outcomes, in the same bins", "metric", "bin"),
    "apportion_calibration_error": _gauge(
        "Expected calibration error over the ten bins since the start; absent without outcomes", "metric"
    ),
    "apportion_outcomes_total": _counter("Outcomes that were committed, by metric", "metric"),
    "apportion_outcomes_unmatched_total": _counter(
        "Outcomes about decisions that this replica does not remember (another's, too old, or by session)"
    ),
    "apportion_promised_risk": _gauge(
        "What a plan's stopping rules promise at most; absent for plans that promise nothing", "plan"
    ),
    "apportion_realised_risk": _gauge(
        "Share of shadow runs, weighted by 1 / their chance, whose answer differs from the reference's; absent without "
        "shadow runs",
        "plan",
    ),
    "apportion_shadow_runs_total": _counter(
        "Shadow runs by what came of them: agrees, differs, no_answer, failed, over_budget, crowded", "result"
    ),
    # time
    "apportion_query_seconds": _histogram(
        "How long queries took, by phase: choose, reserve, sample, select, first_text (from the start), whole",
        "phase",
    ),
    "apportion_running_queries": _gauge("Queries in flight; what the autoscaler looks at", of=Of.SUM),
    "apportion_most_queries": _gauge("How many may be: server.max_queries", of=Of.SUM),
    "apportion_waiting_seconds": _gauge(
        "How long calls stand in line before anybody looks at them; at a second queries begin to be refused"
    ),
    "apportion_draining": _gauge("1 while this replica goes down"),
    "apportion_certificate_end_seconds": _gauge(
        "When the certificate ends that new connections are shown, seconds since the epoch; absent without TLS",
        "port",
        of=Of.LEAST,
    ),
    "apportion_workers": _gauge("Workers of this service that count; absent without --workers"),
    "apportion_worker_ends_total": _counter("Workers that ended; what they counted is kept"),
    # backends
    "apportion_backend_state": _gauge(
        "1 for the state of a backend: enable, drain, disable or quarantine", "backend", "state"
    ),
    "apportion_backend_urls": _gauge(
        "Servers of a backend by their breaker: answering, or resting after a failure", "backend", "state"
    ),
    "apportion_backend_samples_running": _gauge("Samples that may be running there", "backend", of=Of.SUM),
    "apportion_backend_first_token_seconds": _gauge(
        "What forecasts reckon with until a first token, queue included", "backend"
    ),
    "apportion_backend_tokens_per_second": _gauge(
        "What forecasts reckon with of one sample", "backend", of=Of.LEAST
    ),
    "apportion_backend_hedges_total": _counter(
        "Requests sent because another server had not begun to answer", "backend"
    ),
    "apportion_backend_failures_total": _counter(
        "Stages that ended with an error of their backend", "backend"
    ),
    # the store
    "apportion_store_rows_total": _counter(
        "Rows of decisions by what became of them: committed, spooled, dropped, lost (found missing at the start)",
        "result",
    ),
    "apportion_store_queued_rows": _gauge("Rows that wait for the writer"),
    "apportion_store_spool_rows": _gauge("Rows in the spool, because the store is away"),
    "apportion_store_away": _gauge("1 while the store refuses rows"),
    # traces
    "apportion_spans_total": _counter("Spans by what became of them: exported, dropped", "result"),
}
