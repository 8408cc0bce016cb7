"""Decisions on the wire: what was decided and why, sample by sample, and the whole logged row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from predictors.observation import Sample
from router.domain.choice import Forecast
from router.domain.decision import Decision, Outcome, SampleRecord
from router.domain.usage import Usage
from router.v1 import apportion_router_pb2 as pb
from router.wire.checks import set_duration
from router.wire.outcome import outcome_to_wire
from router.wire.parts import (
    MODE_NUMBERS,
    STATUS_NUMBERS,
    Prices,
    cost_of,
    timestamp,
    tool_calls_to_wire,
    usage_item,
    usage_to_wire,
)


def decision_info(decision: Decision, *, probabilities: bool) -> pb.DecisionInfo:
    """What a caller is told about the decision; the whole distribution only where asked for."""
    info = pb.DecisionInfo(
        plan=decision.plan,
        propensity=decision.propensity,
        probabilities=decision.probabilities if probabilities else None,
        signals=decision.signals,
        price=decision.price,
        policy=decision.policy,
        bundle=decision.bundle,
        mode=MODE_NUMBERS[decision.mode],
        explored=decision.explored,
        degraded=decision.degraded,
        digest=decision.digest,
        stop_reason=decision.stop_reason,
    )
    set_duration(info.latency, decision.latency_s)
    if decision.first_text_s is not None:
        set_duration(info.time_to_first_text, decision.first_text_s)
    return info


def sample_info(
    sample: Sample, confidence: float | None, prices: Prices, *, reasoning: bool
) -> pb.SampleInfo:
    """One sample as it came from its backend."""
    usage = Usage(
        sample.tokens_in, sample.tokens_cached, sample.tokens_out, sample.tokens_reasoning, samples=1
    )
    info = pb.SampleInfo(
        sample_id=sample.sample_id,
        backend=sample.backend,
        stage=sample.stage,
        parts=text_parts(sample.text),
        tool_calls=tool_calls_to_wire(sample.tool_calls),
        finish_reason=sample.finish_reason,
        answer=sample.answer,
        answer_class=sample.answer_class,
        confidence=confidence,
        usage=usage_item(usage, cost_of(prices, sample.backend, usage)),
        mean_logprob=sample.mean_logprob,
        first_entropy=sample.first_entropy,
        finished=sample.finished,
        reasoning=sample.reasoning if reasoning else "",
        index=sample.index,
        prefix_tokens=sample.prefix_tokens,
    )
    if sample.latency_s is not None:
        set_duration(info.latency, sample.latency_s)
    return info


def text_parts(text: str) -> list[pb.Part]:
    """A text as parts: none where there is none."""
    return [pb.Part(text=text)] if text else []


def tell_forecasts(
    reply: pb.DecideReply | pb.EstimateCostReply,
    items: Sequence[Forecast],
    probabilities: Mapping[str, float],
) -> None:
    """Add to `reply` what each feasible plan would give, with its probability by name.

    Field by field: messages that are made apart and copied into it take twice as long.
    """
    for item in items:
        one = reply.forecasts.add()
        one.plan = name = item.plan.name
        if item.quality is not None:
            one.quality = item.quality
        one.cost, one.worst_cost = item.cost, item.worst_cost
        one.probability = probabilities.get(name, 0.0)
        set_duration(one.latency, item.latency_s)


def logged_decision(decision: Decision, prices: Prices, outcomes: Sequence[Outcome] = ()) -> pb.Decision:
    """The whole row, with its outcomes where they were looked up."""
    return pb.Decision(
        decision_id=decision.decision_id,
        request_id=decision.request_id,
        replica=decision.replica,
        sequence=decision.sequence,
        created_at=timestamp(decision.created_at),
        tenant=decision.tenant,
        session_id=decision.session_id,
        info=decision_info(decision, probabilities=True),
        digests=decision.digests,
        usable=decision.usable,
        unusable_reason=decision.unusable_reason,
        would_plan=decision.would_plan,
        would_propensity=decision.would_propensity,
        samples=[_record(record, prices) for record in decision.samples],
        status=STATUS_NUMBERS[decision.status],
        answer=decision.answer,
        answer_text=decision.answer_text,
        confidence=decision.confidence,
        usage=usage_to_wire(decision.usage, decision.cost, decision.costs, prices),
        query_hash=decision.query_hash,
        query_text=decision.query_text,
        metadata=decision.metadata,
        error=decision.error,
        outcomes=[outcome_to_wire(outcome) for outcome in outcomes],
        forecasts=[
            pb.PlanForecast(
                plan=plan, quality=quality, cost=cost, probability=decision.probabilities.get(plan, 0.0)
            )
            for plan, (quality, cost) in decision.forecasts.items()
        ],
    )


def _record(record: SampleRecord, prices: Prices) -> pb.SampleInfo:
    usage = Usage(record.tokens_in, record.tokens_cached, record.tokens_out, samples=1)
    info = pb.SampleInfo(
        sample_id=record.sample_id,
        backend=record.backend,
        stage=record.stage,
        parts=text_parts(record.text or ""),
        finish_reason=record.finish_reason,
        answer=record.answer,
        answer_class=record.answer_class,
        confidence=record.confidence,
        usage=usage_item(usage, cost_of(prices, record.backend, usage)),
        mean_logprob=record.mean_logprob,
        first_entropy=record.first_entropy,
        finished=record.prefix_tokens is None,
        index=record.index,
        prefix_tokens=record.prefix_tokens,
    )
    if record.latency_s is not None:
        set_duration(info.latency, record.latency_s)
    return info
