"""Replies of the Router service: from the allocator's events to messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from predictors.observation import Sample
from router.domain.choice import Forecast
from router.domain.decision import Decision
from router.domain.events import Delta, Done, Judged, SampleEnded, Started
from router.domain.plan import Commit, Plan
from router.first_decision.choose import Chosen
from router.v1 import apportion_router_pb2 as pb
from router.wire.admin import PlanInfos
from router.wire.decision import decision_info, sample_info, tell_forecasts, text_parts
from router.wire.parts import (
    ACTION_NUMBERS,
    COMMIT_NUMBERS,
    STATUS_NUMBERS,
    Prices,
    tool_calls_to_wire,
    usage_to_wire,
)


def reply(done: Done, request: pb.GenerateRequest, prices: Prices) -> pb.GenerateReply:
    """The end of a query, with as much as the request asked for."""
    decision = done.decision
    known = {record.sample_id: record.confidence for record in decision.samples}
    told = done.samples if request.return_samples else ()
    return pb.GenerateReply(
        decision_id=decision.decision_id,
        status=STATUS_NUMBERS[decision.status],
        answers=[
            answer_to_wire(sample, known.get(sample.sample_id) if rank else decision.confidence, request)
            for rank, sample in enumerate(done.answers)
        ],
        usage=usage_to_wire(decision.usage, decision.cost, decision.costs, prices),
        decision=decision_info(decision, probabilities=request.return_probabilities),
        samples=[
            sample_info(sample, known.get(sample.sample_id), prices, reasoning=request.return_reasoning)
            for sample in told
        ],
        request_id=decision.request_id,
    )


def answer_to_wire(sample: Sample, confidence: float | None, request: pb.GenerateRequest) -> pb.Answer:
    """One answer."""
    return pb.Answer(
        parts=text_parts(sample.text),
        tool_calls=tool_calls_to_wire(sample.tool_calls),
        finish_reason=sample.finish_reason,
        confidence=confidence,
        reasoning=sample.reasoning if request.return_reasoning else "",
        sample_id=sample.sample_id,
        extracted=sample.answer,
    )


def started(event: Started, request_id: str) -> pb.GenerateStreamEvent:
    """The first event of a stream."""
    commit = Commit.FIRST_TOKEN if event.streams else Commit.AT_END
    return pb.GenerateStreamEvent(
        started=pb.Started(
            decision_id=event.decision_id,
            plan=event.plan,
            commit=COMMIT_NUMBERS[commit],
            request_id=request_id,
        )
    )


def told(
    event: Delta | SampleEnded | Judged, request: pb.GenerateRequest, prices: Prices
) -> pb.GenerateStreamEvent | None:
    """What callers who asked for samples are told on the way; None where nothing is left of it."""
    if isinstance(event, Delta):
        reasoning = event.reasoning if request.return_reasoning else ""
        if not event.text and not reasoning:
            return None
        delta = pb.SampleDelta(sample_id=event.sample_id, text=event.text, reasoning=reasoning)
        return pb.GenerateStreamEvent(sample_delta=delta)
    if isinstance(event, SampleEnded):
        info = sample_info(event.sample, event.sample.confidence, prices, reasoning=request.return_reasoning)
        return pb.GenerateStreamEvent(sample_ended=pb.SampleEnded(sample=info))
    verdict = pb.Verdict(
        stage=event.stage,
        action=ACTION_NUMBERS[event.verdict.action],
        reason=event.reason,
        pruned=event.verdict.prune,
    )
    return pb.GenerateStreamEvent(verdict=verdict)


def rest_of_answers(
    answers: Sequence[pb.Answer], text_sent: int = 0, reasoning_sent: int = 0
) -> Iterator[pb.GenerateStreamEvent]:
    """What has not been streamed of the answers: the first's after so many characters, its tool calls, all others.

    After it, the deltas of every answer, joined, are the answer.
    """
    for index, answer in enumerate(answers):
        first = index == 0
        text = "".join(part.text for part in answer.parts)[text_sent if first else 0 :]
        reasoning = answer.reasoning[reasoning_sent if first else 0 :]
        if text or reasoning or answer.tool_calls:
            delta = pb.AnswerDelta(answer=index, text=text, reasoning=reasoning, tool_calls=answer.tool_calls)
            yield pb.GenerateStreamEvent(answer_delta=delta)


def replayed(answer: pb.GenerateReply, commit: pb.Commit.ValueType) -> Iterator[pb.GenerateStreamEvent]:
    """A finished reply as a stream: Started, the answers whole, Done."""
    yield pb.GenerateStreamEvent(
        started=pb.Started(
            decision_id=answer.decision_id,
            plan=answer.decision.plan,
            commit=commit,
            request_id=answer.request_id,
        )
    )
    yield from rest_of_answers(answer.answers)
    yield pb.GenerateStreamEvent(done=pb.Done(reply=answer))


def decided(
    decision: Decision, plan: Plan, items: Sequence[Forecast], *, plans: PlanInfos, probabilities: bool
) -> pb.DecideReply:
    """The first decision alone."""
    found = pb.DecideReply(
        decision_id=decision.decision_id,
        decision=decision_info(decision, probabilities=probabilities),
        plan=plans.of(plan),
        request_id=decision.request_id,
    )
    tell_forecasts(found, items, decision.probabilities)
    return found


def estimated(chosen: Chosen) -> pb.EstimateCostReply:
    """A dry run: the feasible plans with their chances, and why the others are not."""
    items, shares = chosen.forecasts, dict(chosen.choice.probabilities)
    found = pb.EstimateCostReply(
        likeliest_plan=max(shares, key=shares.__getitem__),
        expected_cost=sum(item.cost * shares[item.plan.name] for item in items),
        worst_cost=max(item.worst_cost for item in items if shares[item.plan.name] > 0),
        infeasible=[pb.InfeasiblePlan(plan=plan, why=why) for plan, why in chosen.infeasible],
    )
    tell_forecasts(found, items, shares)
    return found
