"""What operators get back: status, backends, rows of the log. Frozen; no generated code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from router.clients.read import read_enum, read_forecasts, read_info, read_sample, read_used
from router.clients.values import DecisionInfo, PlanForecast, Report, SampleSeen, Used
from router.domain.backend_state import BackendState
from router.domain.decision import Mode, Status
from router.rollout.releases import BundleState
from router.switches.modes import ModeRule
from router.v1 import apportion_router_pb2 as pb
from router.wire.checks import from_duration
from router.wire.parts import BACKEND_STATES, BUNDLE_STATES, MODES, STATUSES, from_timestamp


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """How a replica is."""

    version: str
    replica: str
    started_at: float  # seconds since the epoch
    mode: Mode
    policy: str
    bundle: str
    price: float
    in_flight: int
    decisions: int
    outcomes: int
    lost_rows: int
    queued_rows: int
    spooled_rows: int
    budget_limit_micros: int | None
    budget_spent_micros: int
    budget_reserved_micros: int
    budget_window_s: float
    degraded: tuple[str, ...]
    draining: bool
    mode_rules: tuple[ModeRule, ...] = ()  # the first that matches gives the mode; `mode` is for all others
    configured_mode: Mode | None = None  # what `mode` was before operators set another; None: it does not say
    mode_set_at: float | None = None  # seconds since the epoch; None: by no operator, or not known when


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """A model server; prices in $ per 1M tokens."""

    name: str
    kind: str
    model: str
    urls: tuple[str, ...]
    price_in: float
    price_cached_in: float
    price_out: float
    tools: bool
    images: bool
    response_format: bool
    logprobs: bool
    context_tokens: int | None
    in_flight: int  # samples that may be running there, of this replica
    state: BackendState
    trouble: str = ""  # why it gets no query, or which of its servers failed last


@dataclass(frozen=True, slots=True)
class LoggedDecision:
    """One row of the log."""

    decision_id: str
    request_id: str
    replica: str
    sequence: int
    created_at: float  # seconds since the epoch
    tenant: str
    session_id: str
    decision: DecisionInfo
    usable: bool
    unusable_reason: str
    would_plan: str
    would_propensity: float
    status: Status
    answer: str | None
    answer_text: str | None
    confidence: float | None
    usage: Used
    samples: tuple[SampleSeen, ...]
    query_hash: str
    query_text: str | None
    error: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)  # feasible plan -> digest
    outcomes: tuple[Report, ...] = ()  # only of `decision`
    forecasts: tuple[PlanForecast, ...] = ()  # of the feasible plans, without latency and worst case


@dataclass(frozen=True, slots=True)
class BundleSeen:
    """What was learned, and what it is used for."""

    version: str  # "": nothing is learned
    state: BundleState
    created_at: float | None  # seconds since the epoch
    share: float  # of traffic, [0, 1]
    note: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)


def read_bundle(info: pb.BundleInfo) -> BundleSeen:
    """From the wire."""
    created = from_timestamp(info.created_at) if info.HasField("created_at") else None
    return BundleSeen(
        info.version,
        read_enum("bundle state", info.state, BUNDLE_STATES),
        created,
        info.share,
        info.note,
        dict(info.metrics),
    )


def read_status(reply: pb.GetStatusReply) -> ServerStatus:
    """How a replica is."""
    budget = reply.budget
    return ServerStatus(
        version=reply.version,
        replica=reply.replica,
        started_at=from_timestamp(reply.started_at),
        mode=read_enum("mode", reply.mode, MODES),
        policy=reply.policy,
        bundle=reply.bundle,
        price=reply.price,
        in_flight=reply.in_flight,
        decisions=reply.decisions,
        outcomes=reply.outcomes,
        lost_rows=reply.lost_rows,
        queued_rows=reply.queued_rows,
        spooled_rows=reply.spooled_rows,
        budget_limit_micros=budget.limit if budget.HasField("limit") else None,
        budget_spent_micros=budget.spent,
        budget_reserved_micros=budget.reserved,
        budget_window_s=from_duration(budget.window),
        degraded=tuple(reply.degraded),
        draining=reply.draining,
        mode_rules=tuple(
            ModeRule(read_enum("mode", rule.mode, MODES), rule.tenant, rule.share)
            for rule in reply.mode_rules
        ),
        configured_mode=MODES.get(reply.configured_mode),
        mode_set_at=from_timestamp(reply.mode_set_at) if reply.HasField("mode_set_at") else None,
    )


def read_backend(item: pb.BackendInfo) -> BackendInfo:
    """A model server."""
    return BackendInfo(
        name=item.name,
        kind=item.kind,
        model=item.model,
        urls=tuple(item.urls),
        price_in=item.price_in,
        price_cached_in=item.price_cached_in,
        price_out=item.price_out,
        tools=item.tools,
        images=item.images,
        response_format=item.response_format,
        logprobs=item.logprobs,
        context_tokens=item.context_tokens if item.HasField("context_tokens") else None,
        in_flight=item.in_flight,
        trouble=item.trouble,
        state=read_enum("backend state", item.state, BACKEND_STATES),
    )


def read_logged(row: pb.Decision) -> LoggedDecision:
    """One row of the log."""
    return LoggedDecision(
        decision_id=row.decision_id,
        request_id=row.request_id,
        replica=row.replica,
        sequence=row.sequence,
        created_at=from_timestamp(row.created_at),
        tenant=row.tenant,
        session_id=row.session_id,
        decision=read_info(row.info),
        usable=row.usable,
        unusable_reason=row.unusable_reason,
        would_plan=row.would_plan,
        would_propensity=row.would_propensity,
        status=read_enum("status", row.status, STATUSES),
        answer=row.answer if row.HasField("answer") else None,
        answer_text=row.answer_text if row.HasField("answer_text") else None,
        confidence=row.confidence if row.HasField("confidence") else None,
        usage=read_used(row.usage.total),
        samples=tuple(read_sample(sample) for sample in row.samples),
        query_hash=row.query_hash,
        query_text=row.query_text if row.HasField("query_text") else None,
        error=row.error,
        metadata=dict(row.metadata),
        digests=dict(row.digests),
        outcomes=tuple(read_report(report) for report in row.outcomes),
        forecasts=read_forecasts(row.forecasts),
    )


def read_report(sent: pb.ReportOutcomeRequest) -> Report:
    """What was reported."""
    kind = sent.WhichOneof("value") or ""
    return Report(
        metric=sent.metric,
        value=getattr(sent, kind) if kind else "",
        decision_id=sent.decision_id,
        request_id=sent.request_id,
        session_id=sent.session_id,
        kind=kind,
        sample_id=sent.sample_id,
        source=sent.source,
        weight=sent.weight,
        observed_at=from_timestamp(sent.observed_at),
        key=sent.key,
        supersedes=sent.supersedes,
        tenant=sent.tenant,
    )
