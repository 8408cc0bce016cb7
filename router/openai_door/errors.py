"""The error tree as HTTP statuses and OpenAI's error objects.

A status is what `google.rpc` maps the error's gRPC status to. `code` is OpenAI's word where it has one, else ours.
`x-should-retry: false` tells OpenAI's clients not to try again what cannot go better in a minute, or whose time is
over: trying again would take, and cost, what the caller did not want to give.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from router.errors import (
    BackendError,
    BackendRefused,
    BudgetExceeded,
    DeadlineExceeded,
    Draining,
    Forbidden,
    InvalidQuery,
    NoPlan,
    NotRecorded,
    Overloaded,
    RequestConflict,
    RouterError,
    StoreError,
    Unauthenticated,
    UnknownName,
)
from router.openai_door.headers import DECISION_ID_HEADER

INVALID, SERVER = "invalid_request_error", "server_error"
INTERNAL_MESSAGE = "the service failed; its log says how"
WORTH_WAITING_S = 60.0
TOO_LONG = "context_length_exceeded"  # by this word client libraries know that the prompt is to be shortened
# As vLLM says it today and said it, SGLang and llama.cpp; and as we do, before we ask them.
_TOO_LONG = re.compile(
    "maximum context length|maximum model length|model's context length|available context size"
    "|the prompt is longer than"
)

# The first class that fits counts, so the special stand before the general: status, type, code ("": our own reason).
STATUSES: tuple[tuple[type[RouterError], int, str, str], ...] = (
    (InvalidQuery, 400, INVALID, "invalid_value"),
    (Unauthenticated, 401, "authentication_error", "invalid_api_key"),
    (Forbidden, 403, "permission_error", ""),
    (UnknownName, 404, INVALID, ""),
    (NoPlan, 400, INVALID, ""),
    (BudgetExceeded, 429, "insufficient_quota", "insufficient_quota"),
    (Overloaded, 429, "rate_limit_error", "rate_limit_exceeded"),
    (Draining, 503, SERVER, ""),
    (RequestConflict, 409, INVALID, ""),
    (DeadlineExceeded, 504, SERVER, ""),
    (BackendRefused, 400, INVALID, ""),
    (NotRecorded, 404, INVALID, ""),
    (BackendError, 503, SERVER, ""),
    (StoreError, 503, SERVER, ""),
    (RouterError, 500, SERVER, ""),
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a request ends that fails."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


def refusal(error: Exception) -> Refusal:
    """The reply to an error; what is not of our tree is status 500, and says nothing about itself."""
    if not isinstance(error, RouterError):
        return Refusal(500, error_object(INTERNAL_MESSAGE, SERVER, None, RouterError.reason.lower()))
    status, kind, code = next(
        (status, kind, code) for cls, status, kind, code in STATUSES if isinstance(error, cls)
    )
    param = None
    if isinstance(error, InvalidQuery):
        param = error.field
    elif isinstance(error, UnknownName):
        param, code = error.kind, f"{error.kind}_not_found".replace(" ", "_")
    elif isinstance(error, (BackendRefused, NoPlan)) and _TOO_LONG.search(str(error)):
        param, code = "messages", TOO_LONG
    body = error_object(str(error), kind, param, code or error.reason.lower())
    return Refusal(status, body, _headers(error))


def logged_refusal(error: Exception, path: str, request_id: str) -> Refusal:
    """The same; an error that is not of our tree is also logged, with its text and what the request is called."""
    if not isinstance(error, RouterError):
        structlog.get_logger().error(
            INTERNAL_MESSAGE, call=path, request_id=request_id, exc_info=error, error=repr(error)
        )
    return refusal(error)


def error_object(message: str, kind: str, param: str | None, code: str) -> dict[str, Any]:
    """OpenAI's shape."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _headers(error: RouterError) -> dict[str, str]:
    headers = {}
    if error.decision_id:
        headers[DECISION_ID_HEADER] = error.decision_id
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(retry_after_s)))
    hopeless = isinstance(error, BudgetExceeded) and (
        retry_after_s is None or retry_after_s > WORTH_WAITING_S
    )
    if hopeless or isinstance(error, (RequestConflict, DeadlineExceeded)):
        headers["x-should-retry"] = "false"
    return headers
