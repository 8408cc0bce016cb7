"""What a client call raises.

ApportionError              any status that has no class of its own below
├── InvalidRequest          the request is wrong: `field` and the message say what would be right  INVALID_ARGUMENT
├── NotFound                a decision, a recorded query, … that is not there                      NOT_FOUND
├── OutOfBudget             no plan can be paid for                                                RESOURCE_EXHAUSTED
├── Busy                    shed before work started: later                                        RESOURCE_EXHAUSTED
├── Refused                 no plan fits the limits, or a model server refuses the request         FAILED_PRECONDITION
├── Conflict                the request id was used with another body                              ALREADY_EXISTS
├── TooLate                 the deadline passed                                                    DEADLINE_EXCEEDED
└── Unavailable             the service or the model servers cannot be reached                     UNAVAILABLE
"""

from __future__ import annotations

import grpc

from router.wire.errors import Told, read_trailers

TRIED = frozenset({"NO_BACKEND", "BACKEND_TIMEOUT", "BACKEND_GARBLED"})  # reasons


class ApportionError(Exception):
    """A call that failed."""

    def __init__(
        self,
        message: str,
        *,
        status: str = "UNKNOWN",  # gRPC's name
        reason: str = "",  # `google.rpc.ErrorInfo.reason`, e.g. BUDGET, OVERLOAD, NO_BACKEND
        field: str = "",  # of the request, e.g. constraints.max_cost
        retry_after_s: float | None = None,  # when the service thinks that asking again may help
        decision_id: str = "",  # of the decision that was begun
    ) -> None:
        super().__init__(message)
        self.message, self.status, self.reason, self.field = message, status, reason, field
        self.retry_after_s, self.decision_id = retry_after_s, decision_id

    @property
    def may_retry(self) -> bool:
        """Whether the same request may go well in a moment.

        Where the model servers failed the service has tried all that it may: that is a decision, and logged as one.
        """
        if self.status == "UNAVAILABLE":
            return self.reason not in TRIED
        return self.status == "RESOURCE_EXHAUSTED" and self.retry_after_s is not None


class InvalidRequest(ApportionError):
    """The request is wrong; asking again does not help."""


class NotFound(ApportionError):
    """What was named is not there."""


class OutOfBudget(ApportionError):
    """What is left of the budget does not cover the cheapest plan that fits."""


class Busy(ApportionError):
    """The service sheds load."""


class Refused(ApportionError):
    """Nothing that fits the request's limits can be served."""


class Conflict(ApportionError):
    """The request id stands for another request."""


class TooLate(ApportionError):
    """The deadline passed."""


class Unavailable(ApportionError):
    """Nobody answered."""


KINDS: dict[str, type[ApportionError]] = {
    "INVALID_ARGUMENT": InvalidRequest,
    "NOT_FOUND": NotFound,
    "FAILED_PRECONDITION": Refused,
    "ALREADY_EXISTS": Conflict,
    "DEADLINE_EXCEEDED": TooLate,
    "UNAVAILABLE": Unavailable,
}


def translated(error: grpc.RpcError) -> ApportionError:
    """The typed error of a failed call, asynchronous or not."""
    call: grpc.Call = error  # type: ignore[assignment]  # a failed call is its own error
    trailers = tuple((key, value) for key, value in call.trailing_metadata() or ())
    return from_status(call.code().name, read_trailers(trailers, call.details() or ""))


def from_status(status: str, told: Told) -> ApportionError:
    """The class that fits a status and its details."""
    kind = KINDS.get(status, ApportionError)
    if status == "RESOURCE_EXHAUSTED":
        kind = OutOfBudget if told.reason == "BUDGET" else Busy
    return kind(
        told.message,
        status=status,
        reason=told.reason,
        field=told.field,
        retry_after_s=told.retry_after_s,
        decision_id=told.decision_id,
    )
