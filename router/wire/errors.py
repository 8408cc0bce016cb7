"""The error tree as gRPC statuses with `google.rpc` details, and back for the client."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2

from router.errors import (
    BackendError,
    BackendRefused,
    BudgetExceeded,
    BundleRefused,
    DeadlineExceeded,
    Draining,
    Forbidden,
    InvalidQuery,
    NoPlan,
    NotBuilt,
    NotRecorded,
    Overloaded,
    RequestConflict,
    RouterError,
    StoreError,
    Unauthenticated,
    UnknownName,
)
from router.wire.checks import duration, from_duration
from router.wire.parts import DECISION_ID_TRAILER

DOMAIN = "apportion"
DETAILS_TRAILER = "grpc-status-details-bin"
DO_NOT_RETRY = ("grpc-retry-pushback-ms", "-1")  # to gRPC's own retries: everything was tried, and is logged
MAX_MESSAGE_BYTES = 1000  # the message travels three times in trailers, of which HTTP/2 peers take 8 kB
MAX_FIELD_BYTES = 200

# The first class that fits counts, so the special stand before the general.
CODES: tuple[tuple[type[RouterError], grpc.StatusCode], ...] = (
    (InvalidQuery, grpc.StatusCode.INVALID_ARGUMENT),
    (Unauthenticated, grpc.StatusCode.UNAUTHENTICATED),
    (Forbidden, grpc.StatusCode.PERMISSION_DENIED),
    (UnknownName, grpc.StatusCode.NOT_FOUND),
    (NoPlan, grpc.StatusCode.FAILED_PRECONDITION),
    (BudgetExceeded, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (Overloaded, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (Draining, grpc.StatusCode.UNAVAILABLE),
    (RequestConflict, grpc.StatusCode.ALREADY_EXISTS),
    (DeadlineExceeded, grpc.StatusCode.DEADLINE_EXCEEDED),
    (BundleRefused, grpc.StatusCode.FAILED_PRECONDITION),
    (NotBuilt, grpc.StatusCode.UNIMPLEMENTED),
    (BackendRefused, grpc.StatusCode.FAILED_PRECONDITION),
    (NotRecorded, grpc.StatusCode.NOT_FOUND),
    (BackendError, grpc.StatusCode.UNAVAILABLE),
    (StoreError, grpc.StatusCode.UNAVAILABLE),
    (RouterError, grpc.StatusCode.INTERNAL),
)
INTERNAL_MESSAGE = "the service failed; its log says how"


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a call ends that fails: what gRPC wants for it."""

    code: grpc.StatusCode
    message: str
    trailers: tuple[tuple[str, str | bytes], ...]


def refusal(error: Exception, decision_id: str = "") -> Refusal:
    """The status of an error; what is not of our tree is INTERNAL, and says nothing about itself.

    `decision_id` is of the decision that the call had begun, where the error does not name it.
    """
    code = next((code for kind, code in CODES if isinstance(error, kind)), grpc.StatusCode.INTERNAL)
    known = isinstance(error, RouterError)
    message = cut(str(error), MAX_MESSAGE_BYTES) if known else INTERNAL_MESSAGE
    reason = error.reason if isinstance(error, RouterError) else RouterError.reason
    details = [_any(error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN))]
    if isinstance(error, InvalidQuery):
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=cut(error.field, MAX_FIELD_BYTES),
            description=cut(
                error.problem + (f"; allowed: {error.allowed}" if error.allowed else ""), MAX_MESSAGE_BYTES
            ),
        )
        details.append(_any(error_details_pb2.BadRequest(field_violations=[violation])))
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        details.append(_any(error_details_pb2.RetryInfo(retry_delay=duration(retry_after_s))))
    number: int = code.value[0]
    status = status_pb2.Status(code=code_pb2.Code.ValueType(number), message=message, details=details)
    trailers: list[tuple[str, str | bytes]] = [(DETAILS_TRAILER, status.SerializeToString())]
    if isinstance(error, BackendError):
        trailers.append(DO_NOT_RETRY)
    decision_id = getattr(error, "decision_id", "") or decision_id
    if decision_id and decision_id.isascii() and decision_id.isprintable():
        trailers.append((DECISION_ID_TRAILER, decision_id))
    return Refusal(code, message, tuple(trailers))


@dataclass(frozen=True, slots=True)
class Told:
    """What a failed call said about itself."""

    reason: str = ""
    message: str = ""
    field: str = ""
    retry_after_s: float | None = None
    decision_id: str = ""


def read_trailers(trailers: Sequence[tuple[str, str | bytes]], message: str) -> Told:
    """The details of a failed call; `message` is gRPC's own text, which stands where there are none."""
    told = Told(message=message)
    for key, value in trailers:
        if key == DECISION_ID_TRAILER and isinstance(value, str):
            told = replace(told, decision_id=value)
        if key == DETAILS_TRAILER and isinstance(value, bytes):
            with contextlib.suppress(DecodeError):  # a proxy's own, and the status still stands
                told = _read_details(status_pb2.Status.FromString(value), told)
    return told


def _read_details(status: status_pb2.Status, told: Told) -> Told:
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    for detail in status.details:
        if detail.Unpack(info):
            told = replace(told, reason=info.reason)
        elif detail.Unpack(bad) and bad.field_violations:
            told = replace(told, field=bad.field_violations[0].field)
        elif detail.Unpack(retry):
            told = replace(told, retry_after_s=from_duration(retry.retry_delay))
    return told


def cut(text: str, limit: int) -> str:
    """`text`, shortened to `limit` bytes of UTF-8."""
    data = text.encode("utf-8", "replace")
    return data.decode() if len(data) <= limit else data[: limit - 3].decode("utf-8", "ignore") + "…"


def _any(
    message: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest | error_details_pb2.RetryInfo,
) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
