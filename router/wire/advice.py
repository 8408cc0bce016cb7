"""Advice on the wire: the samples that a caller brings, checked, and what it is told to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from predictors.observation import Sample
from router.advising.feed import Advice, Brought, More, Prune
from router.backends.prompting import with_prompt
from router.checks.fields import SHARE, Range, at_most, short_text
from router.domain.events import Done
from router.errors import InvalidQuery
from router.v1 import apportion_router_pb2 as pb
from router.wire.checks import seconds
from router.wire.parts import message_to_wire, sampling_to_wire, tool_calls_from_wire
from router.wire.reply import answer_to_wire
from router.wire.usage import usage_from_wire

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NUMBERS = {"mean_logprob": Range(high=0.0), "first_entropy": Range(0.0), "confidence": SHARE}
LATENCY, FINITE = Range(0.0), Range()
MAX_HIDDEN = 65_536  # numbers; the hidden states of the largest models have some 16,000


def read_opening(message: pb.AdviseRequest | InvalidQuery | None) -> pb.GenerateRequest:
    """The query, which every stream begins with. Raises `InvalidQuery`."""
    if isinstance(message, InvalidQuery):
        raise message
    if message is None or message.WhichOneof("message") != "request":
        raise InvalidQuery("message", "the stream does not begin with the query", "`request` first")
    return message.request


def read_sample(message: pb.AdviseRequest) -> Brought:
    """One sample, finished or growing. Raises `InvalidQuery`."""
    if message.WhichOneof("message") != "sample":
        raise InvalidQuery("message", "the query was sent already", "only `sample` after it")
    sent = message.sample
    name = short_text("sample.sample_id", sent.sample_id)
    if not name:
        raise InvalidQuery("sample.sample_id", "is empty", "an id of the caller's for every sample")
    for place, part in enumerate(sent.parts):
        if part.WhichOneof("kind") != "text":
            raise InvalidQuery(f"sample.parts[{place}]", "is not text", "text")
    numbers = {field.name: value for field, value in sent.ListFields() if field.name in NUMBERS}
    for field, value in numbers.items():
        NUMBERS[field].check(f"sample.{field}", value)
    latency_s = seconds("sample.latency", sent.latency) if sent.HasField("latency") else None
    if latency_s is not None:
        LATENCY.check("sample.latency", latency_s)
    sample = Sample(
        sample_id=name,
        backend=sent.backend,
        text="".join(part.text for part in sent.parts),
        finished=sent.finished,
        finish_reason=short_text("sample.finish_reason", sent.finish_reason),
        tool_calls=tool_calls_from_wire(sent.tool_calls),
        reasoning=sent.reasoning,
        hidden=_hidden(sent) if sent.hidden else None,
        latency_s=latency_s,
        **numbers,
    )
    usage = usage_from_wire("sample.usage", sent.usage) if sent.HasField("usage") else None
    return Brought(sample, usage)


def advice_reply(decision_id: str, told: Advice | Done, request: pb.GenerateRequest) -> pb.AdviseReply:
    """What the caller should do now."""
    reply = pb.AdviseReply(decision_id=decision_id)
    if isinstance(told, Prune):
        reply.prune.sample_ids.extend(told.sample_ids)
    elif isinstance(told, Done):
        reply.enough.stop_reason = told.decision.stop_reason
        for sample in told.answers[:1]:
            reply.enough.answer.CopyFrom(answer_to_wire(sample, told.decision.confidence, request))
    elif told.escalates:
        reply.escalate.next.CopyFrom(_more(told))
    else:
        reply.more.CopyFrom(_more(told))
    return reply


def _more(told: More) -> pb.AdviseMore:
    call = told.call
    more = pb.AdviseMore(
        backend=told.backend,
        model=told.model,
        sampling=sampling_to_wire(call.sampling),
        count=told.count,
    )
    if told.count:  # who starts nothing needs no conversation
        more.messages.extend(message_to_wire(turn) for turn in with_prompt(call.query.messages, call.prompt))
    return more


def _hidden(sent: pb.AdvisedSample) -> NDArray[np.float32]:
    at_most("sample.hidden", len(sent.hidden), MAX_HIDDEN)
    import numpy as np

    state = np.asarray(sent.hidden, np.float32)
    if not np.isfinite(state).all():
        raise InvalidQuery("sample.hidden", "has numbers that are not finite", str(FINITE))
    return state
