"""A `GenerateRequest` as a `Query` and `Options`; `router.checks.queries` has the ranges that the wire states."""

from __future__ import annotations

from collections.abc import Callable

from predictors.observation import Constraints, Preferences, Query, Tool
from router.checks.fields import json_object
from router.checks.queries import (
    DEFAULT_TENANT,
    NO_CONSTRAINTS,
    NO_PREFERENCES,
    NO_SAMPLING,
    Known,
    check_query,
)
from router.domain.decision import Keep, Mode
from router.domain.options import Options
from router.domain.query_trace import Trace
from router.v1 import apportion_router_pb2 as pb
from router.wire.checks import enum, seconds
from router.wire.messages import messages
from router.wire.parts import EXPLORES, KEEPS, MODES, ON_UNAVAILABLE, sampling_from_wire

MODE_OR_CONFIGURED: dict[pb.Mode.ValueType, Mode | None] = {pb.MODE_UNSPECIFIED: None, **MODES}
KEEP_OR_CONFIGURED: dict[pb.Log.ValueType, Keep | None] = {pb.LOG_UNSPECIFIED: None, **KEEPS}


def read_query(request: pb.GenerateRequest, known: Known, new_id: Callable[[], str]) -> Query:
    """The request, checked; `new_id` names it where the caller did not. Raises `InvalidQuery`."""
    query = Query(
        request_id=request.request_id or new_id(),
        messages=messages(request.messages),
        tenant=request.tenant or DEFAULT_TENANT,
        session_id=request.session_id,
        tools=tuple(Tool(tool.name, tool.description, tool.parameters) for tool in request.tools),
        tool_choice=request.tool_choice,
        response_format=request.response_format,
        sampling=sampling_from_wire(request.sampling) if request.HasField("sampling") else NO_SAMPLING,
        answers=request.answers if request.HasField("answers") else 1,
        task_hint=request.task_hint,
        verifier=request.verifier,
        constraints=_constraints(request.constraints) if request.HasField("constraints") else NO_CONSTRAINTS,
        preferences=_preferences(request.preferences) if request.HasField("preferences") else NO_PREFERENCES,
        features=dict(request.features),
        priority=request.priority,
        metadata=dict(request.metadata),
        extra=json_object("extra", request.extra) if request.extra else {},
    )
    return check_query(query, known)


def read_options(
    request: pb.GenerateRequest, *, stream: bool, time_left_s: float | None, trace: Trace | None = None
) -> Options:
    """How the query is to be handled. Raises `InvalidQuery`."""
    return Options(
        mode=enum("mode", request.mode, MODE_OR_CONFIGURED, pb.Mode.Name),
        explore=enum("explore", request.explore, EXPLORES, pb.Explore.Name),
        keep=enum("log", request.log, KEEP_OR_CONFIGURED, pb.Log.Name),
        stream=stream,
        tell=stream and request.return_samples,
        time_left_s=time_left_s,
        trace=trace,
    )


def _constraints(sent: pb.Constraints) -> Constraints:
    return Constraints(
        max_cost_micros=sent.max_cost if sent.HasField("max_cost") else None,
        max_ttft_s=seconds("constraints.max_ttft", sent.max_ttft) if sent.HasField("max_ttft") else None,
        min_quality=sent.min_quality if sent.HasField("min_quality") else None,
        max_risk=sent.max_risk if sent.HasField("max_risk") else None,
        allowed_backends=tuple(sent.allowed_backends),
        denied_backends=tuple(sent.denied_backends),
        plan=sent.plan,
        on_unavailable=enum(
            "constraints.on_unavailable", sent.on_unavailable, ON_UNAVAILABLE, pb.OnUnavailable.Name
        ),
    )


def _preferences(sent: pb.Preferences) -> Preferences:
    return Preferences(**{field.name: value for field, value in sent.ListFields()})
