"""A finished query as OpenAI's `chat.completion`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from predictors.observation import Sample, ToolCall
from router.domain.events import Done
from router.domain.usage import Usage
from router.openai_door.read_chat import Chat

REASONS = frozenset(("stop", "length", "tool_calls", "content_filter"))
CUT = frozenset(("cut", "cancelled", "abort"))  # by us or by the server, before its end


class Sent(msgspec.Struct, frozen=True):
    """An object of the reply."""


class Function(Sent, frozen=True, kw_only=True):
    """What the model calls; `arguments` is JSON text as the model wrote it."""

    name: str
    arguments: str


class Call(Sent, frozen=True, kw_only=True):
    """A tool call; `index` is there in streams only."""

    index: int | UnsetType = UNSET
    id: str
    type: str = "function"
    function: Function


class Message(Sent, frozen=True, kw_only=True):
    """The answer; `reasoning_content` only with `router.return_reasoning`."""

    role: str = "assistant"
    content: str | None
    refusal: None = None
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[Call] | UnsetType = UNSET


class Choice(Sent, frozen=True, kw_only=True):
    """One of the answers, best first."""

    index: int
    message: Message
    logprobs: None = None
    finish_reason: str


class Tokens(Sent, frozen=True, kw_only=True):
    """Tokens of all samples of the query, also of those that were cut."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: Mapping[str, int]
    completion_tokens_details: Mapping[str, int]


class Told(Sent, frozen=True, kw_only=True):
    """`router` of a reply: what was decided and what it cost."""

    decision_id: str
    request_id: str
    status: str  # answered | abstained | budget_cut | deadline_cut
    plan: str
    policy: str  # its name, or untrained, reference, forced
    mode: str
    bundle: str  # version; "" without one
    cost: float  # micro-dollars, not rounded
    confidence: float | None  # P(right) of the first answer, calibrated where the policy is trained
    stop_reason: str
    degraded: tuple[str, ...]  # what is not as it should be, in words
    probabilities: Mapping[str, float] | UnsetType = UNSET  # only with `router.return_probabilities`
    samples: list[dict[str, Any]] | UnsetType = UNSET  # only with `router.return_samples`


class Completion(Sent, frozen=True, kw_only=True):
    """The whole reply."""

    id: str
    object: str = "chat.completion"
    created: int  # seconds since the epoch
    model: str  # the plan that was served
    choices: list[Choice]
    usage: Tokens
    router: Told


def completion(done: Done, chat: Chat, created: int) -> Completion:
    """The end of a query, with as much as the request asked for."""
    decision = done.decision
    return Completion(
        id=completion_id(decision.decision_id),
        created=created,
        model=decision.plan,
        choices=[
            Choice(index=index, message=_message(sample, chat), finish_reason=finish_reason(sample))
            for index, sample in enumerate(done.answers)
        ],
        usage=_tokens(sum(decision.usage.values(), Usage())),
        router=Told(
            decision_id=decision.decision_id,
            request_id=decision.request_id,
            status=decision.status.value,
            plan=decision.plan,
            policy=decision.policy,
            mode=decision.mode.value,
            bundle=decision.bundle,
            cost=decision.cost,
            confidence=decision.confidence,
            stop_reason=decision.stop_reason,
            degraded=decision.degraded,
            probabilities=decision.probabilities if chat.return_probabilities else UNSET,
            samples=[_sample(sample, chat) for sample in done.samples] if chat.return_samples else UNSET,
        ),
    )


def completion_id(decision_id: str) -> str:
    """The reply's id, which is also that of every chunk."""
    return f"chatcmpl-{decision_id}"


def finish_reason(sample: Sample) -> str:
    """One of OpenAI's words; a sample that was cut has the length that it has."""
    if sample.finish_reason in REASONS:
        return sample.finish_reason
    if sample.finish_reason in CUT:
        return "length"
    return "tool_calls" if sample.tool_calls else "stop"


def _message(sample: Sample, chat: Chat) -> Message:
    return Message(
        content=None if sample.tool_calls and not sample.text else sample.text,
        reasoning_content=sample.reasoning if chat.return_reasoning and sample.reasoning else UNSET,
        tool_calls=_calls(sample.tool_calls) if sample.tool_calls else UNSET,
    )


def _calls(calls: tuple[ToolCall, ...]) -> list[Call]:
    return [Call(id=call.id, function=Function(name=call.name, arguments=call.arguments)) for call in calls]


def _tokens(usage: Usage) -> Tokens:
    return Tokens(
        prompt_tokens=usage.tokens_in,
        completion_tokens=usage.tokens_out,
        total_tokens=usage.tokens_in + usage.tokens_out,
        prompt_tokens_details={"cached_tokens": usage.tokens_cached},
        completion_tokens_details={"reasoning_tokens": usage.tokens_reasoning},
    )


def _sample(sample: Sample, chat: Chat) -> dict[str, Any]:
    told: dict[str, Any] = {
        "sample_id": sample.sample_id,
        "backend": sample.backend,
        "stage": sample.stage,
        "text": sample.text,
        "finish_reason": sample.finish_reason,
        "answer": sample.answer,
        "answer_class": sample.answer_class,
        "tokens_in": sample.tokens_in,
        "tokens_out": sample.tokens_out,
        "mean_logprob": sample.mean_logprob,
        "latency_s": sample.latency_s,
    }
    if sample.tool_calls:
        told["tool_calls"] = _calls(sample.tool_calls)
    if chat.return_reasoning and sample.reasoning:
        told["reasoning"] = sample.reasoning
    return told
