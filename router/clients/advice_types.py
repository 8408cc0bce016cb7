"""What callers who draw samples themselves send and are told: `Drawn` samples in, `More` and the answer out."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from predictors.observation import Message, Sampling, ToolCall
from router.clients.read import read_answer
from router.clients.request import fitting, refused
from router.clients.values import Answer, Used
from router.v1 import apportion_router_pb2 as pb
from router.wire.checks import duration
from router.wire.messages import messages
from router.wire.parts import sampling_from_wire, tool_calls_to_wire


@dataclass(frozen=True, slots=True)
class Drawn:
    """A sample of the caller's. The same `sample_id` again, longer, replaces a growing one."""

    text: str
    usage: Used | None = None  # totals of this sample; None, and finished: it is charged at its worst case
    backend: str = ""  # default: the one whose samples were asked for last
    sample_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    finished: bool = True
    finish_reason: str = "stop"  # "error": its backend failed, and another takes over
    tool_calls: Sequence[ToolCall] = ()
    reasoning: str = ""
    mean_logprob: float | None = None  # nats per token, <= 0
    first_entropy: float | None = None  # nats, >= 0
    confidence: float | None = None  # [0, 1]
    hidden: Sequence[float] = ()  # reduced hidden state
    latency_s: float | None = None


@dataclass(frozen=True, slots=True)
class More:
    """Start `count` samples of this backend now, side by side."""

    backend: str
    model: str
    messages: tuple[Message, ...]  # with the stage's prompt applied
    sampling: Sampling
    count: int
    escalates: bool = False  # a new stage begins: what still runs of the one before is of no use


@dataclass(frozen=True, slots=True)
class Charged:
    """What a decided or advised query was charged so far, and what of its reservation went back."""

    charged_micros: int
    returned_micros: int


def sample_request(drawn: Drawn) -> pb.AdviseRequest:
    """The sample as a message. Raises `InvalidRequest` for what the wire cannot carry.

    >>> sample_request(Drawn("4", sample_id="a")).sample.parts[0].text
    '4'
    """
    try:
        sample = pb.AdvisedSample(
            sample_id=drawn.sample_id,
            backend=drawn.backend,
            parts=[pb.Part(text=drawn.text)] if drawn.text else (),
            tool_calls=tool_calls_to_wire(drawn.tool_calls),
            finish_reason=drawn.finish_reason if drawn.finished else "",
            finished=drawn.finished,
            usage=None if drawn.usage is None else used_to_wire(drawn.usage),
            mean_logprob=drawn.mean_logprob,
            first_entropy=drawn.first_entropy,
            confidence=drawn.confidence,
            hidden=drawn.hidden,
            latency=None if drawn.latency_s is None else duration(drawn.latency_s),
            reasoning=drawn.reasoning,
        )
    except (ValueError, TypeError) as error:
        raise refused(str(error)) from error
    return fitting(pb.AdviseRequest(sample=sample))


def used_to_wire(used: Used) -> pb.UsageItem:
    """Tokens; what they cost is the service's to say."""
    item = pb.UsageItem(
        cached_in=used.tokens_cached,
        out=used.tokens_out,
        reasoning=used.tokens_reasoning,
        side_calls=used.side_calls,
        samples=used.samples,
    )
    setattr(item, "in", used.tokens_in)  # a keyword of Python
    return item


def usage_request(decision_id: str, by_backend: Mapping[str, Used], *, final: bool) -> pb.ReportUsageRequest:
    """The report. Raises `InvalidRequest` for what the wire cannot carry."""
    try:
        items = {name: used_to_wire(used) for name, used in by_backend.items()}
        return fitting(pb.ReportUsageRequest(decision_id=decision_id, by_backend=items, final=final))
    except (ValueError, TypeError) as error:
        raise refused(str(error)) from error


class Standing:
    """Where one advised query stands, as its replies tell. Both clients keep one."""

    def __init__(self) -> None:
        self.decision_id = ""
        self.answer: Answer | None = None
        self.stop_reason = ""
        self.pruned: frozenset[str] = frozenset()  # samples to cut
        self.enough = False
        self.replies = 0  # but prunes: every sample gets one of these, until there is enough
        self._more: More | None = None
        self._due = 0

    def hear(self, reply: pb.AdviseReply) -> None:
        """Take a reply in."""
        self.decision_id = reply.decision_id
        kind = reply.WhichOneof("advice")
        if kind == "prune":
            self.pruned |= frozenset(reply.prune.sample_ids)
            return
        self.replies += 1
        if kind == "enough":
            self.enough, self._due, self.stop_reason = True, 0, reply.enough.stop_reason
            if reply.enough.HasField("answer"):
                self.answer = read_answer(reply.enough.answer)
        elif kind == "escalate":
            self._more, self._due = read_more(reply.escalate.next, escalates=True), reply.escalate.next.count
        elif kind == "more" and reply.more.count:
            waiting = self._more if self._due else None  # not yet handed out: both are, as one
            self._more = read_more(reply.more, escalates=waiting is not None and waiting.escalates)
            self._due += reply.more.count

    def due(self) -> More | None:
        """What is to be started and was not yet handed out; None: nothing."""
        if self._more is None or not self._due:
            return None
        more, self._due = replace(self._more, count=self._due), 0
        return more

    @property
    def is_due(self) -> bool:
        """Whether something is to be started."""
        return self._due > 0


class Advised:
    """What both clients' advice tells its caller."""

    def __init__(self) -> None:
        self._standing = Standing()

    @property
    def decision_id(self) -> str:
        """Of the logged row: what outcomes and usage are reported about."""
        return self._standing.decision_id

    @property
    def answer(self) -> Answer | None:
        """The answer, once there is enough; None: not yet, or no sample had one."""
        return self._standing.answer

    @property
    def stop_reason(self) -> str:
        """Why there is enough, once there is."""
        return self._standing.stop_reason

    @property
    def enough(self) -> bool:
        """Whether nothing more is to be drawn; what still runs may be cut, and what it used sent."""
        return self._standing.enough

    @property
    def pruned(self) -> frozenset[str]:
        """Ids of growing samples that are to be cut."""
        return self._standing.pruned


def read_more(more: pb.AdviseMore, *, escalates: bool) -> More:
    """What is to be started."""
    return More(
        backend=more.backend,
        model=more.model,
        messages=messages(more.messages),
        sampling=sampling_from_wire(more.sampling),
        count=more.count,
        escalates=escalates,
    )
