"""The form of log lines, the decision that a line is about, and a line per query where that is wanted.

While a query is answered its decision's id is known to the task that answers it (`router.domain.running`), so that
every line written meanwhile carries it, whoever writes it. Texts of queries and answers are never logged.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any, Literal, TextIO

import structlog

from router.domain.decision import Decision, Status
from router.domain.running import decision_id

Form = Literal["text", "json"]
Queries = Literal["none", "failed", "all"]


class Lenient:
    """A stream whose disk may be full and whose reader may be gone: whoever logs must not fail by that."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """As much as can be written."""
        with suppress(OSError, ValueError):  # ValueError: it was closed
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """The same."""
        with suppress(OSError, ValueError):
            self._stream.flush()


def log_to(stream: TextIO, form: Form) -> None:
    """Write log lines to `stream` from now on; those that it does not take are lost, and nothing else is."""
    renderer: structlog.typing.Processor = structlog.dev.ConsoleRenderer(colors=stream.isatty())
    if form == "json":
        renderer = structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            with_decision,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(Lenient(stream)),  # type: ignore[arg-type]  # it writes, no more
    )


def with_decision(
    logger: Any,  # noqa: ARG001 (structlog's processors take three arguments)
    method: str,  # noqa: ARG001 (as above)
    line: MutableMapping[str, Any],
) -> MutableMapping[str, Any]:
    """Add the id of the decision that this task works on, where there is one."""
    running = decision_id.get()
    if running:
        line.setdefault("decision_id", running)
    return line


def query_log(which: Queries) -> Callable[[Decision], None] | None:
    """What writes a line per logged row, or per row without an answer; None: nothing does."""
    if which == "none":
        return None
    log = structlog.get_logger("router.queries")

    def write(row: Decision) -> None:
        failed = row.status is Status.FAILED
        if which == "failed" and not failed:
            return
        (log.warning if failed else log.info)(
            "query",
            decision_id=row.decision_id,
            request_id=row.request_id,
            trace_id=row.trace_id,
            tenant=row.tenant,
            plan=row.plan,
            policy=row.policy,
            mode=row.mode.value,
            bundle=row.bundle,
            status=row.status.value,
            stop_reason=row.stop_reason,
            error=row.error.partition(":")[0],
            samples=len(row.samples),
            cost_micros=row.cost,
            latency_s=round(row.latency_s, 6),
            degraded=list(row.degraded),
        )

    return write
