"""What a caller passes to the client, as messages of the wire."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, TypeVar

import msgspec

from predictors.observation import Constraints, Message, OnUnavailable, Part, Preferences, Sampling, Tool
from router.clients.errors import InvalidRequest
from router.clients.values import Report
from router.domain.decision import Keep, Mode
from router.v1 import apportion_router_pb2 as pb
from router.wire.checks import duration
from router.wire.parts import (
    KEEP_NUMBERS,
    MODE_NUMBERS,
    message_to_wire,
    sampling_to_wire,
    timestamp,
    tool_to_wire,
)

Request = TypeVar(
    "Request", pb.GenerateRequest, pb.ReportOutcomeRequest, pb.AdviseRequest, pb.ReportUsageRequest
)

MAX_MESSAGE_BYTES = 16 * 1024 * 1024


class Ask(TypedDict, total=False):
    """How a query is asked; what is left out is as the service has it. Ranges: see the .proto file."""

    request_id: str  # default: a new one; the same again joins or repeats the first
    session_id: str
    tools: Sequence[Tool]
    tool_choice: str  # auto, none, required, or a tool's name
    response_format: Mapping[str, Any]  # as OpenAI's
    sampling: Sampling
    answers: int  # how many answers are wanted, [1, 16]
    task_hint: str
    verifier: str
    constraints: Constraints  # max_cost_micros, max_ttft_s, min_quality, allowed_backends, plan, …
    preferences: Preferences
    features: Mapping[str, float]
    mode: Mode  # at most as clever as configured
    explore: bool
    keep: Keep  # of the texts, in the log
    return_samples: bool
    return_reasoning: bool
    return_probabilities: bool
    priority: int
    metadata: Mapping[str, str]
    extra: Mapping[str, Any]  # for the backend; keys that it does not allow are refused
    tenant: str  # only while the service does not authenticate


def message(role: str, text: str) -> Message:
    """One turn of plain text.

    >>> message("user", "2 + 2?").text
    '2 + 2?'
    """
    return Message(role, (Part(text=text),))


def generate_request(prompt: str | Sequence[Message], ask: Ask) -> pb.GenerateRequest:
    """The request. Raises `InvalidRequest` for what the wire cannot carry.

    >>> generate_request("2 + 2?", {"request_id": "a", "answers": 2}).answers
    2
    """
    if unknown := ask.keys() - Ask.__annotations__.keys():  # a limit that is misspelt must not be no limit
        raise refused(
            f"unknown option {min(unknown)!r}; choose from {', '.join(sorted(Ask.__annotations__))}"
        )
    turns = _turns(prompt)
    try:
        request = pb.GenerateRequest(
            request_id=ask.get("request_id") or uuid.uuid4().hex,
            messages=[message_to_wire(turn) for turn in turns],
            session_id=ask.get("session_id", ""),
            tools=[tool_to_wire(tool) for tool in ask.get("tools", ())],
            tool_choice=ask.get("tool_choice", ""),
            response_format=_json(ask.get("response_format")),
            sampling=sampling_to_wire(ask["sampling"]) if "sampling" in ask else None,
            answers=ask.get("answers"),
            task_hint=ask.get("task_hint", ""),
            verifier=ask.get("verifier", ""),
            constraints=_constraints(ask["constraints"]) if "constraints" in ask else None,
            preferences=_preferences(ask["preferences"]) if "preferences" in ask else None,
            features=ask.get("features"),
            mode=MODE_NUMBERS[ask["mode"]] if "mode" in ask else pb.MODE_UNSPECIFIED,
            explore=pb.EXPLORE_ALLOW if ask.get("explore", True) else pb.EXPLORE_FORBID,
            log=KEEP_NUMBERS[ask["keep"]] if "keep" in ask else pb.LOG_UNSPECIFIED,
            return_samples=ask.get("return_samples", False),
            return_reasoning=ask.get("return_reasoning", False),
            return_probabilities=ask.get("return_probabilities", False),
            priority=ask.get("priority", 0),
            metadata=ask.get("metadata"),
            extra=_json(ask.get("extra")),
            tenant=ask.get("tenant", ""),
        )
    except (ValueError, TypeError) as error:  # a lone surrogate, a number that its field cannot hold
        raise refused(str(error)) from error
    return fitting(request)


def outcome_request(report: Report) -> pb.ReportOutcomeRequest:
    """The report. Raises `InvalidRequest` for what the wire cannot carry.

    >>> outcome_request(Report("correct", True, decision_id="d")).WhichOneof("value")
    'bool'
    """
    kind = report.kind or _kind(report.value)
    value: Any = float(report.value) if kind == "number" else report.value
    try:
        request = pb.ReportOutcomeRequest(
            sample_id=report.sample_id,
            metric=report.metric,
            source=report.source,
            weight=report.weight,
            observed_at=None if report.observed_at is None else timestamp(report.observed_at),
            key=report.key,
            supersedes=report.supersedes,
            tenant=report.tenant,
            **{kind: value},
        )
        for subject in ("decision_id", "request_id", "session_id"):
            if name := getattr(report, subject):
                setattr(request, subject, name)
    except (ValueError, TypeError) as error:
        raise refused(str(error)) from error
    return fitting(request)


def fitting(request: Request) -> Request:
    """The request, which must fit a message: what is too large does not leave this process."""
    if request.ByteSize() > MAX_MESSAGE_BYTES:
        raise refused(f"request: {request.ByteSize():,} bytes; allowed: at most {MAX_MESSAGE_BYTES:,} bytes")
    return request


def _turns(prompt: object) -> Sequence[Message]:
    if isinstance(prompt, str):
        return (message("user", prompt),)
    if isinstance(prompt, Sequence) and all(isinstance(turn, Message) for turn in prompt):
        return prompt
    raise refused(f"prompt: wants a text or a sequence of Message, got {prompt!r:.100}")


def refused(problem: str) -> InvalidRequest:
    """The error of a request that does not leave this process."""
    return InvalidRequest(problem, status="INVALID_ARGUMENT", reason="INVALID", field="request")


def _kind(value: float | bool | str) -> str:
    if isinstance(value, bool):
        return "bool"
    return "label" if isinstance(value, str) else "number"


def _json(value: Mapping[str, Any] | None) -> str:
    return msgspec.json.encode(dict(value)).decode() if value else ""


def _constraints(limits: Constraints) -> pb.Constraints:
    fail = limits.on_unavailable is OnUnavailable.FAIL
    return pb.Constraints(
        max_cost=limits.max_cost_micros,
        max_ttft=None if limits.max_ttft_s is None else duration(limits.max_ttft_s),
        min_quality=limits.min_quality,
        max_risk=limits.max_risk,
        allowed_backends=limits.allowed_backends,
        denied_backends=limits.denied_backends,
        plan=limits.plan,
        on_unavailable=pb.ON_UNAVAILABLE_FAIL if fail else pb.ON_UNAVAILABLE_DEGRADE,
    )


def _preferences(weights: Preferences) -> pb.Preferences:
    return pb.Preferences(cost_weight=weights.cost_weight, latency_weight=weights.latency_weight)
