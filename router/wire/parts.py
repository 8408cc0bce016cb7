"""What both directions of the wire share: its enums in our words, messages of a chat, tokens and times.

Of the other files `query`, `advice`, `usage` and `outcome` read what callers send, and check it; `reply`, `decision`
and `admin` write what they get; `errors` is the error tree as statuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from google.protobuf.timestamp_pb2 import Timestamp

from predictors.observation import Message, OnUnavailable, Part, PartKind, Sampling, Tool, ToolCall
from router.domain.backend_state import BackendState
from router.domain.decision import Keep, Mode, Status
from router.domain.plan import Commit
from router.domain.usage import Price, Usage, whole_micros
from router.domain.verdict import Action
from router.rollout.releases import BundleState
from router.v1 import apportion_router_pb2 as pb

DECISION_ID_TRAILER = "apportion-decision-id"
ROUTER_SERVICE = "apportion.router.v1.Router"
ADMIN_SERVICE = "apportion.router.v1.Admin"
# gRPC's own size limit is this much above ours, so that ours speaks first
GRPC_MARGIN_BYTES = 8 * 1024 * 1024

ROLES = {
    pb.ROLE_SYSTEM: "system",
    pb.ROLE_DEVELOPER: "developer",
    pb.ROLE_USER: "user",
    pb.ROLE_ASSISTANT: "assistant",
    pb.ROLE_TOOL: "tool",
}
ROLE_NUMBERS = {word: number for number, word in ROLES.items()}
MODES = {pb.MODE_BYPASS: Mode.BYPASS, pb.MODE_OBSERVE: Mode.OBSERVE, pb.MODE_APPLY: Mode.APPLY}
BACKEND_STATES = {
    pb.BACKEND_STATE_ENABLE: BackendState.ENABLE,
    pb.BACKEND_STATE_DRAIN: BackendState.DRAIN,
    pb.BACKEND_STATE_DISABLE: BackendState.DISABLE,
}
BACKEND_STATE_NUMBERS = {state: number for number, state in BACKEND_STATES.items()}
BUNDLE_STATES = {
    pb.BUNDLE_STATE_CANDIDATE: BundleState.CANDIDATE,
    pb.BUNDLE_STATE_SHADOW: BundleState.SHADOW,
    pb.BUNDLE_STATE_CANARY: BundleState.CANARY,
    pb.BUNDLE_STATE_ACTIVE: BundleState.ACTIVE,
    pb.BUNDLE_STATE_RETIRED: BundleState.RETIRED,
}
BUNDLE_STATE_NUMBERS = {state: number for number, state in BUNDLE_STATES.items()}
MODE_NUMBERS = {word: number for number, word in MODES.items()}
KEEPS = {pb.LOG_OFF: Keep.OFF, pb.LOG_HASH: Keep.HASH, pb.LOG_FULL: Keep.FULL}
KEEP_NUMBERS = {word: number for number, word in KEEPS.items()}
EXPLORES = {pb.EXPLORE_UNSPECIFIED: True, pb.EXPLORE_ALLOW: True, pb.EXPLORE_FORBID: False}
ON_UNAVAILABLE = {
    pb.ON_UNAVAILABLE_UNSPECIFIED: OnUnavailable.DEGRADE,
    pb.ON_UNAVAILABLE_DEGRADE: OnUnavailable.DEGRADE,
    pb.ON_UNAVAILABLE_FAIL: OnUnavailable.FAIL,
}
STATUSES = {
    pb.STATUS_ANSWERED: Status.ANSWERED,
    pb.STATUS_ABSTAINED: Status.ABSTAINED,
    pb.STATUS_BUDGET_CUT: Status.BUDGET_CUT,
    pb.STATUS_DEADLINE_CUT: Status.DEADLINE_CUT,
    pb.STATUS_FAILED: Status.FAILED,
    pb.STATUS_CANCELLED: Status.CANCELLED,
}
STATUS_NUMBERS = {word: number for number, word in STATUSES.items()}
ACTIONS = {
    pb.ACTION_MORE: Action.MORE,
    pb.ACTION_ENOUGH: Action.ENOUGH,
    pb.ACTION_ESCALATE: Action.ESCALATE,
    pb.ACTION_PRUNE: Action.PRUNE,
}
ACTION_NUMBERS = {word: number for number, word in ACTIONS.items()}
COMMITS = {pb.COMMIT_FIRST_TOKEN: Commit.FIRST_TOKEN, pb.COMMIT_AT_END: Commit.AT_END}
COMMIT_NUMBERS = {word: number for number, word in COMMITS.items()}
LISTS_AND_MAPS = frozenset(("stop", "logit_bias"))  # of `Sampling`; the others are numbers

Prices = Mapping[str, Price]
"""What each backend charges, by its name."""


def part_to_wire(part: Part) -> pb.Part:
    """One piece of a message."""
    if part.kind is PartKind.TEXT:
        return pb.Part(text=part.text)
    if part.kind is PartKind.IMAGE_URL:
        return pb.Part(image_url=part.image_url)
    return pb.Part(data=pb.Data(mime=part.mime, bytes=part.data))


def part_from_wire(part: pb.Part) -> Part:
    """One piece of a message, not checked; a part without content is empty text."""
    kind = part.WhichOneof("kind")
    if kind == "image_url":
        return Part(PartKind.IMAGE_URL, image_url=part.image_url)
    if kind == "data":
        return Part(PartKind.DATA, data=part.data.bytes, mime=part.data.mime)
    return Part(text=part.text)


def tool_calls_to_wire(calls: Iterable[ToolCall]) -> list[pb.ToolCall]:
    """Calls that a model made."""
    return [pb.ToolCall(id=call.id, name=call.name, arguments=call.arguments) for call in calls]


def tool_calls_from_wire(calls: Iterable[pb.ToolCall]) -> tuple[ToolCall, ...]:
    """Calls that a model made."""
    return tuple(ToolCall(call.id, call.name, call.arguments) for call in calls)


def message_to_wire(message: Message) -> pb.Message:
    """One turn; a role that the wire does not have becomes ROLE_UNSPECIFIED, which the server refuses."""
    return pb.Message(
        role=ROLE_NUMBERS.get(message.role, pb.ROLE_UNSPECIFIED),
        parts=[part_to_wire(part) for part in message.parts],
        name=message.name,
        tool_call_id=message.tool_call_id,
        tool_calls=tool_calls_to_wire(message.tool_calls),
        reasoning=message.reasoning,
    )


def tool_to_wire(tool: Tool) -> pb.Tool:
    """A function that the model may call."""
    return pb.Tool(name=tool.name, description=tool.description, parameters=tool.parameters)


def sampling_to_wire(sampling: Sampling) -> pb.Sampling:
    """Sampling parameters; what is None stays unset."""
    return pb.Sampling(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        min_p=sampling.min_p,
        seed=sampling.seed,
        max_tokens=sampling.max_tokens,
        thinking_tokens=sampling.thinking_tokens,
        stop=sampling.stop,
        logit_bias=sampling.logit_bias,
        presence_penalty=sampling.presence_penalty,
        frequency_penalty=sampling.frequency_penalty,
        repetition_penalty=sampling.repetition_penalty,
        logprobs=sampling.logprobs,
    )


def sampling_from_wire(sent: pb.Sampling) -> Sampling:
    """Sampling parameters, not checked; what is unset is None."""
    numbers = {field.name: value for field, value in sent.ListFields() if field.name not in LISTS_AND_MAPS}
    return Sampling(stop=tuple(sent.stop), logit_bias=dict(sent.logit_bias), **numbers)


def usage_item(usage: Usage, micros: float) -> pb.UsageItem:
    """Tokens and what they cost in micro-dollars."""
    item = pb.UsageItem(
        cached_in=usage.tokens_cached,
        out=usage.tokens_out,
        reasoning=usage.tokens_reasoning,
        side_calls=usage.side_calls,
        samples=usage.samples,
        cost=whole_micros(micros),
        cost_exact=micros,
    )
    setattr(item, "in", usage.tokens_in)  # a keyword of Python
    return item


def usage_to_wire(
    by_backend: Mapping[str, Usage], micros: float, costs: Mapping[str, float], prices: Prices
) -> pb.Usage:
    """Usage in total and by backend: `micros` and `costs` are what was booked; without these it is at `prices`."""
    total = sum(by_backend.values(), Usage())
    items = {}
    for name, usage in by_backend.items():
        booked = costs.get(name)
        items[name] = usage_item(usage, cost_of(prices, name, usage) if booked is None else booked)
    return pb.Usage(total=usage_item(total, micros), by_backend=items)


def cost_of(prices: Prices, backend: str, usage: Usage) -> float:
    """Micro-dollars, not rounded; a backend that is no longer configured has no price: 0."""
    price = prices.get(backend)
    return price.micros(usage) if price else 0.0


def timestamp(epoch_s: float) -> Timestamp:
    """Seconds since the epoch as a `Timestamp`."""
    whole = int(epoch_s // 1)
    return Timestamp(seconds=whole, nanos=min(999_999_999, round((epoch_s - whole) * 1e9)))


def from_timestamp(value: Timestamp) -> float:
    """A `Timestamp` in seconds since the epoch."""
    return value.seconds + value.nanos * 1e-9
