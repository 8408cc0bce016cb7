"""Replies of the wire as the client's own types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from router.clients import values as types
from router.clients.errors import ApportionError
from router.v1 import apportion_router_pb2 as pb
from router.wire.checks import from_duration
from router.wire.parts import ACTIONS, MODES, STATUSES, tool_calls_from_wire

Number = TypeVar("Number", bound=int)
T = TypeVar("T")


def read_enum(what: str, number: Number, meanings: Mapping[Number, T]) -> T:
    """What an enum's number means. Raises `ApportionError` for one of a later version than this client's."""
    if number not in meanings:
        raise ApportionError(f"the service says {what} {number}: it is newer than this client")
    return meanings[number]


def text_of(parts: Iterable[pb.Part]) -> str:
    """The text of an answer's parts."""
    return "".join(part.text for part in parts)


def read_used(item: pb.UsageItem) -> types.Used:
    """Tokens and money."""
    return types.Used(
        tokens_in=getattr(item, "in"),
        tokens_cached=item.cached_in,
        tokens_out=item.out,
        tokens_reasoning=item.reasoning,
        side_calls=item.side_calls,
        samples=item.samples,
        cost_micros=item.cost,
        cost_exact=item.cost_exact,
    )


def read_answer(answer: pb.Answer) -> types.Answer:
    """One answer."""
    return types.Answer(
        text=text_of(answer.parts),
        tool_calls=tool_calls_from_wire(answer.tool_calls),
        finish_reason=answer.finish_reason,
        confidence=answer.confidence if answer.HasField("confidence") else None,
        reasoning=answer.reasoning,
        sample_id=answer.sample_id,
        extracted=answer.extracted if answer.HasField("extracted") else None,
    )


def read_sample(sample: pb.SampleInfo) -> types.SampleSeen:
    """One sample."""
    return types.SampleSeen(
        sample_id=sample.sample_id,
        backend=sample.backend,
        stage=sample.stage,
        text=text_of(sample.parts),
        tool_calls=tool_calls_from_wire(sample.tool_calls),
        finish_reason=sample.finish_reason,
        answer=sample.answer if sample.HasField("answer") else None,
        answer_class=sample.answer_class if sample.HasField("answer_class") else None,
        confidence=sample.confidence if sample.HasField("confidence") else None,
        usage=read_used(sample.usage),
        latency_s=from_duration(sample.latency),
        mean_logprob=sample.mean_logprob if sample.HasField("mean_logprob") else None,
        first_entropy=sample.first_entropy if sample.HasField("first_entropy") else None,
        finished=sample.finished,
        reasoning=sample.reasoning,
        index=sample.index,
        prefix_tokens=sample.prefix_tokens if sample.HasField("prefix_tokens") else None,
    )


def read_info(info: pb.DecisionInfo) -> types.DecisionInfo:
    """What was decided."""
    return types.DecisionInfo(
        plan=info.plan,
        propensity=info.propensity,
        policy=info.policy,
        mode=read_enum("mode", info.mode, MODES),
        digest=info.digest,
        bundle=info.bundle,
        price=info.price,
        explored=info.explored,
        probabilities=dict(info.probabilities),
        signals=dict(info.signals),
        degraded=tuple(info.degraded),
        stop_reason=info.stop_reason,
        latency_s=from_duration(info.latency),
        first_text_s=from_duration(info.time_to_first_text) if info.HasField("time_to_first_text") else None,
    )


def read_reply(reply: pb.GenerateReply) -> types.Reply:
    """The end of one query."""
    return types.Reply(
        decision_id=reply.decision_id,
        request_id=reply.request_id,
        status=read_enum("status", reply.status, STATUSES),
        answers=tuple(read_answer(answer) for answer in reply.answers),
        usage=read_used(reply.usage.total),
        usage_by_backend={name: read_used(item) for name, item in reply.usage.by_backend.items()},
        decision=read_info(reply.decision),
        samples=tuple(read_sample(sample) for sample in reply.samples),
    )


def read_event(event: pb.GenerateStreamEvent) -> types.StreamEvent | None:
    """One event of a stream; None for a keep-alive, and for events of a later version."""
    kind = event.WhichOneof("event")
    if kind == "answer_delta":
        delta = event.answer_delta
        calls = tool_calls_from_wire(delta.tool_calls)
        return types.AnswerDelta(delta.text, delta.answer, delta.reasoning, calls)
    if kind == "sample_delta":
        piece = event.sample_delta
        return types.SampleDelta(piece.sample_id, piece.text, piece.reasoning)
    if kind == "sample_ended":
        return types.SampleEnded(read_sample(event.sample_ended.sample))
    if kind == "verdict":
        said = event.verdict
        return types.Verdict(
            said.stage, read_enum("action", said.action, ACTIONS), said.reason, tuple(said.pruned)
        )
    if kind == "started":
        begun = event.started
        return types.Started(
            begun.decision_id, begun.request_id, begun.plan, streams=begun.commit == pb.COMMIT_FIRST_TOKEN
        )
    if kind == "done":
        return types.Done(read_reply(event.done.reply))
    return None


def read_plan(plan: pb.PlanInfo) -> types.PlanInfo:
    """A plan of the menu."""
    stages = tuple(
        types.StageInfo(
            backend=stage.backend,
            max_samples=stage.max_samples,
            width=stage.width,
            stop=stage.stop,
            select=stage.select,
            prompt=stage.prompt,
            verifier=stage.verifier,
            gate=stage.gate,
            pool=stage.pool,
        )
        for stage in plan.stages
    )
    streams = plan.commit == pb.COMMIT_FIRST_TOKEN
    return types.PlanInfo(plan.name, plan.digest, stages, streams=streams, reference=plan.reference)


def read_forecasts(items: Iterable[pb.PlanForecast]) -> tuple[types.PlanForecast, ...]:
    """What each feasible plan would give."""
    return tuple(
        types.PlanForecast(
            plan=item.plan,
            quality=item.quality if item.HasField("quality") else None,
            cost_micros=item.cost,
            worst_cost_micros=item.worst_cost,
            latency_s=from_duration(item.latency),
            probability=item.probability,
        )
        for item in items
    )


def read_decided(reply: pb.DecideReply) -> types.Decided:
    """The first decision alone."""
    return types.Decided(
        reply.decision_id,
        reply.request_id,
        read_info(reply.decision),
        read_plan(reply.plan),
        read_forecasts(reply.forecasts),
    )


def read_estimate(reply: pb.EstimateCostReply) -> types.Estimate:
    """A dry run."""
    return types.Estimate(
        forecasts=read_forecasts(reply.forecasts),
        likeliest_plan=reply.likeliest_plan,
        expected_cost_micros=reply.expected_cost,
        worst_cost_micros=reply.worst_cost,
        infeasible={item.plan: item.why for item in reply.infeasible},
    )


def read_reported_many(reply: pb.ReportOutcomesReply) -> types.ReportedMany:
    """How many reports are committed."""
    refusals = tuple((item.position, item.field, item.problem) for item in reply.refusals)
    return types.ReportedMany(reply.committed, reply.duplicates, reply.refused, refusals)
