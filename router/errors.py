"""Everything that the router raises, and what it means to the caller.

RouterError
├── ConfigError             router.toml cannot be served: file, line, key, value and choices
├── RecordingError          a recording's folder is damaged: file, column, choices
├── InvalidQuery            the caller's request is wrong: field and allowed values        INVALID_ARGUMENT
├── Unauthenticated         the caller does not say who it is, or not by a token that holds  UNAUTHENTICATED
├── Forbidden               it may not do that, or not for that tenant                     PERMISSION_DENIED
├── UnknownName             a plan, backend, decision, … that is not here                  NOT_FOUND
├── NoPlan                  every plan was removed by the query's limits                   FAILED_PRECONDITION
├── BudgetExceeded          the worst case of every plan is above what is left             RESOURCE_EXHAUSTED
├── Overloaded              shed before work started                                       RESOURCE_EXHAUSTED
├── Draining                this replica is going down and takes no new work               UNAVAILABLE
├── RequestConflict         the request id stands for another request                      ALREADY_EXISTS
├── BundleRefused           a bundle that may not serve here: damaged, other features, …   FAILED_PRECONDITION
├── NotBuilt                a call of the wire that nothing serves yet                     UNIMPLEMENTED
├── DeadlineExceeded        the caller's time ended before there was anything to answer    DEADLINE_EXCEEDED
├── BackendError            a model server failed
│   ├── BackendUnavailable  cannot be reached, or refuses work                             UNAVAILABLE
│   ├── BackendTimeout      nothing came within the time allowed                           UNAVAILABLE
│   ├── BackendRefused      it calls this request invalid                                  FAILED_PRECONDITION
│   ├── BackendGarbled      it answered something that is not the protocol                 UNAVAILABLE
│   └── NotRecorded         the recording does not have this query                         NOT_FOUND
├── StoreError              the decision store failed; rows are kept elsewhere             UNAVAILABLE
└── PluginError             a plug-in broke its contract                                   INTERNAL
"""

from __future__ import annotations

from collections.abc import Sequence


class RouterError(Exception):
    """Root of everything that the router raises."""

    reason = "INTERNAL"  # `google.rpc.ErrorInfo.reason`
    decision_id = ""  # set on the instance where a decision was begun


class ConfigError(RouterError):
    """The configuration cannot be served."""

    reason = "CONFIG"


class RecordingError(RouterError):
    """A recording's folder is damaged or lacks what is asked of it."""

    reason = "RECORDING"


class InvalidQuery(RouterError):
    """The request is wrong; `field` names the place, `allowed` says what would be right."""

    reason = "INVALID"

    def __init__(self, field: str, problem: str, allowed: str = "") -> None:
        super().__init__(f"{field}: {problem}" + (f"; allowed: {allowed}" if allowed else ""))
        self.field = field
        self.problem = problem
        self.allowed = allowed


class Unauthenticated(RouterError):
    """The caller must say who it is, by a token that holds."""

    reason = "UNAUTHENTICATED"


class Forbidden(RouterError):
    """The caller is known and may not do that."""

    reason = "FORBIDDEN"


class UnknownName(RouterError):
    """Something was asked for by a name that is not here."""

    reason = "UNKNOWN_NAME"

    def __init__(self, kind: str, name: str, choices: tuple[str, ...] = (), hint: str = "") -> None:
        known = f"; choose from {', '.join(sorted(choices))}" if choices else ""
        super().__init__(f"unknown {kind} {name!r}{known}{hint}")
        self.kind = kind
        self.name = name


class NoPlan(RouterError):
    """Every plan was removed before the draw; the message says by what."""

    reason = "NO_PLAN"


class BudgetExceeded(RouterError):
    """What is left of the budget does not cover the worst case; `retry_after_s` says when it may."""

    reason = "BUDGET"

    def __init__(
        self, message: str, retry_after_s: float | None = None, needed_micros: int | None = None
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.needed_micros = needed_micros  # the least that would have to be left, where it is known


class Overloaded(RouterError):
    """The request was shed before work started."""

    reason = "OVERLOAD"

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Draining(RouterError):
    """This replica is going down; another one will answer."""

    reason = "DRAINING"
    retry_after_s = 1.0


class RequestConflict(RouterError):
    """The request id was used with another body."""

    reason = "REQUEST_ID"


class BundleRefused(RouterError):
    """A bundle may not serve; the message says why, and what serves goes on."""

    reason = "BUNDLE"


class NotBuilt(RouterError):
    """The call is on the wire, and nothing serves it yet."""

    reason = "NOT_BUILT"


class DeadlineExceeded(RouterError):
    """The caller's time ended before there was anything to answer with."""

    reason = "DEADLINE"


class BackendError(RouterError):
    """A model server failed. Its own words are for the caller alone: they may quote what it was asked."""

    reason = "NO_BACKEND"

    def __init__(self, message: str, wordless: str = "") -> None:
        super().__init__(message)
        self.wordless = wordless or message  # the same without the server's words: for logs and operators

    @classmethod
    def of_all(cls, errors: Sequence[BackendError]) -> BackendError:
        """The last of at least one, in whose text stand all that failed before it, each once."""
        messages = dict.fromkeys(map(str, errors))
        wordless = dict.fromkeys(error.wordless for error in errors)
        return type(errors[-1])("; ".join(messages), "; ".join(wordless))


class BackendUnavailable(BackendError):
    """The server cannot be reached, or refuses work for now."""


class BackendTimeout(BackendError):
    """Nothing came within the time allowed."""

    reason = "BACKEND_TIMEOUT"


class BackendRefused(BackendError):
    """The server calls this request invalid; asking again will not help."""

    reason = "BACKEND_REFUSED"


class BackendGarbled(BackendError):
    """The server answered something that is not the protocol."""

    reason = "BACKEND_GARBLED"


class NotRecorded(BackendError):
    """The recording does not have this query."""

    reason = "NOT_RECORDED"


class StoreError(RouterError):
    """The decision store failed."""

    reason = "STORE"


class PluginError(RouterError):
    """A plug-in broke its contract."""

    reason = "PLUGIN"
