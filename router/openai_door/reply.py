"""A finished query as OpenAI's `chat.completion`.

Where there is no answer (nobody was asked because the target is out of reach) clients still find a choice: its content
is empty, its `refusal` says why in words, and `router.status` is `abstained`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from predictors.observation import Sample, TokenLogprob, ToolCall
from router.domain.events import Done
from router.domain.usage import Usage, told_micros
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
    refusal: str | None = None  # why there is no answer, where there is none
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[Call] | UnsetType = UNSET


class Alternative(Sent, frozen=True, kw_only=True):
    """A token that might have stood there; log-probabilities are in nats."""

    token: str
    logprob: float
    bytes: list[int]


class Token(Sent, frozen=True, kw_only=True):
    """A token of the answer."""

    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[Alternative]


class Logprobs(Sent, frozen=True, kw_only=True):
    """Of the answer's text, token by token."""

    content: list[Token]
    refusal: None = None


class Choice(Sent, frozen=True, kw_only=True):
    """One of the answers, best first."""

    index: int
    message: Message
    logprobs: Logprobs | None = None
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
        id=completion_id(decision.decision_id, text=chat.text),
        created=created,
        model=decision.plan,
        choices=[
            Choice(
                index=index,
                message=_message(sample, chat),
                logprobs=logprobs_of(sample.token_logprobs, chat) if chat.query.token_logprobs else None,
                finish_reason=finish_reason(sample),
            )
            for index, sample in enumerate(done.answers)
        ]
        or [_no_answer(decision.stop_reason)],
        usage=_tokens(sum(decision.usage.values(), Usage())),
        router=Told(
            decision_id=decision.decision_id,
            request_id=decision.request_id,
            status=decision.status.value,
            plan=decision.plan,
            policy=decision.policy,
            mode=decision.mode.value,
            bundle=decision.bundle,
            cost=told_micros(decision.cost),
            confidence=decision.confidence,
            stop_reason=decision.stop_reason,
            degraded=decision.degraded,
            probabilities=decision.probabilities if chat.return_probabilities else UNSET,
            samples=[_sample(sample, chat) for sample in done.samples] if chat.return_samples else UNSET,
        ),
    )


def completion_id(decision_id: str, *, text: bool = False) -> str:
    """The reply's id, which is also that of every chunk."""
    return f"{'cmpl' if text else 'chatcmpl'}-{decision_id}"


def finish_reason(sample: Sample) -> str:
    """One of OpenAI's words; a sample that was cut has the length that it has."""
    if sample.finish_reason in REASONS:
        return sample.finish_reason
    if sample.finish_reason in CUT:
        return "length"
    return "tool_calls" if sample.tool_calls else "stop"


def logprobs_of(entries: Sequence[TokenLogprob], chat: Chat) -> Logprobs:
    """Tokens as OpenAI writes them, with as many alternatives as were asked for."""
    return Logprobs(
        content=[
            Token(
                token=entry.token,
                logprob=entry.logprob,
                bytes=_utf8(entry),
                top_logprobs=[
                    Alternative(token=other.token, logprob=other.logprob, bytes=_utf8(other))
                    for other in entry.top[: chat.alternatives]
                ],
            )
            for entry in entries
        ]
    )


def calls_shown(calls: tuple[ToolCall, ...], chat: Chat) -> tuple[ToolCall, ...]:
    """All of them, or the first where the caller takes one call at a time."""
    return calls[:1] if chat.query.parallel_tool_calls is False else calls


def _no_answer(why: str) -> Choice:
    return Choice(
        index=0, message=Message(content="", refusal=why or "there is no answer"), finish_reason="stop"
    )


def _utf8(entry: TokenLogprob) -> list[int]:
    return list(entry.token.encode("utf-8", "replace") if entry.utf8 is None else entry.utf8)


def _message(sample: Sample, chat: Chat) -> Message:
    return Message(
        content=None if sample.tool_calls and not sample.text else sample.text,
        reasoning_content=sample.reasoning if chat.return_reasoning and sample.reasoning else UNSET,
        tool_calls=_calls(calls_shown(sample.tool_calls, chat)) if sample.tool_calls else UNSET,
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
