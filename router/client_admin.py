"""The operators' client: status, plans, backends, mode, logged decisions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import grpc

from router.client_channel import DEFAULT_ADMIN_TARGET, options
from router.client_errors import translated
from router.client_read import read_info, read_plan, read_sample, read_used
from router.client_types import DecisionInfo, PlanInfo, Report, SampleSeen, Used
from router.domain.decision import Mode, Status
from router.v1 import apportion_router_pb2 as pb
from router.v1 import apportion_router_pb2_grpc as pb_grpc
from router.wire import MODE_NUMBERS, MODES, STATUSES, from_timestamp
from router.wire_checks import from_duration

ADMIN_TIMEOUT_S = 10.0


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
    in_flight: int


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


class AdminClient:
    """The admin port over asyncio.

    async with AdminClient("127.0.0.1:50052") as admin:
        print((await admin.status()).mode)
    """

    def __init__(self, target: str = DEFAULT_ADMIN_TARGET, *, timeout_s: float = ADMIN_TIMEOUT_S) -> None:
        self.timeout_s = timeout_s
        self._channel = grpc.aio.insecure_channel(target, options=options())
        self._stub = pb_grpc.AdminStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def status(self) -> ServerStatus:
        """How the replica is."""
        reply: pb.GetStatusReply = await self._call(self._stub.GetStatus, pb.GetStatusRequest())
        budget = reply.budget
        return ServerStatus(
            version=reply.version,
            replica=reply.replica,
            started_at=from_timestamp(reply.started_at),
            mode=MODES[reply.mode],
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
        )

    async def plans(self) -> tuple[PlanInfo, ...]:
        """The menu."""
        found: list[PlanInfo] = []
        token = ""
        while True:
            request = pb.ListPlansRequest(page_token=token)
            reply: pb.ListPlansReply = await self._call(self._stub.ListPlans, request)
            found += (read_plan(plan) for plan in reply.plans)
            token = reply.next_page_token
            if not token:
                return tuple(found)

    async def backends(self) -> tuple[BackendInfo, ...]:
        """The model servers."""
        found: list[BackendInfo] = []
        token = ""
        while True:
            request = pb.ListBackendsRequest(page_token=token)
            reply: pb.ListBackendsReply = await self._call(self._stub.ListBackends, request)
            found += (_backend(item) for item in reply.backends)
            token = reply.next_page_token
            if not token:
                return tuple(found)

    async def set_mode(self, mode: Mode, tenant: str = "", share: float | None = None) -> Mode:
        """Let `mode` hold from now on, for a tenant or a share of traffic; returns what held before.

        `set_mode(Mode.BYPASS)` ends all cleverness.
        """
        request = pb.SetModeRequest(mode=MODE_NUMBERS[mode], tenant=tenant, share=share)
        reply: pb.SetModeReply = await self._call(self._stub.SetMode, request)
        return MODES[reply.previous]

    async def decision(self, decision_id: str) -> LoggedDecision:
        """One row, with what was reported about it. Raises `NotFound`."""
        request = pb.GetDecisionRequest(decision_id=decision_id)
        reply: pb.GetDecisionReply = await self._call(self._stub.GetDecision, request)
        return _logged(reply.decision)

    async def decisions(self, tenant: str = "", page_size: int = 100) -> AsyncIterator[LoggedDecision]:
        """All rows, newest first, page by page as they are asked for."""
        token = ""
        while True:
            request = pb.ListDecisionsRequest(page_size=page_size, page_token=token, tenant=tenant)
            reply: pb.ListDecisionsReply = await self._call(self._stub.ListDecisions, request)
            for decision in reply.decisions:
                yield _logged(decision)
            token = reply.next_page_token
            if not token:
                return

    async def _call(self, method: Any, request: object) -> Any:
        try:
            return await method(request, timeout=self.timeout_s)
        except grpc.RpcError as error:
            raise translated(error) from error


def _backend(item: pb.BackendInfo) -> BackendInfo:
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
    )


def _logged(row: pb.Decision) -> LoggedDecision:
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
        status=STATUSES[row.status],
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
        outcomes=tuple(_report(report) for report in row.outcomes),
    )


def _report(sent: pb.ReportOutcomeRequest) -> Report:
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
