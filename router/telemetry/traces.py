"""Which queries are traced, and their rows on the way to a collector, in a thread of its own.

A query is traced where its caller traces it (W3C `traceparent` with the sampled flag), and of the others a share. The
event loop does no more than put the row into a queue; spans are made from it and sent in batches. Where the collector
is slow or away rows wait up to `MOST_WAITING`, later ones are dropped and counted.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from router.domain.decision import Decision
from router.domain.query_trace import Trace, read_traceparent

MOST_WAITING = 10_000  # rows
BATCH = 128  # rows; the exporters' own default is 512 spans
EVERY_S = 1.0


class Collector(Protocol):
    """Takes spans."""

    def send(self, rows: Sequence[Decision]) -> tuple[int, str]:
        """Make the spans of the rows and send them; how many, and what went wrong ("": nothing). May block."""
        ...

    def close(self) -> None:
        """Release the connection."""
        ...


class Traces:
    """`begin` says whether a query is traced, `seen` takes its row."""

    def __init__(self, collector: Collector, share: float, new_id: Callable[[], str]) -> None:
        self.share = share
        self.exported = self.dropped = 0  # spans; of rows that found no room, one each
        self._collector, self._new_id = collector, new_id
        self._rows: deque[Decision] = deque()
        self._wake, self._closing = threading.Event(), False
        self._failing = ""
        self._log = structlog.get_logger("router.telemetry")
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    def begin(self, traceparent: str) -> Trace | None:
        """The trace of a query whose caller sent this header ("": none); None: it is not traced."""
        caller = read_traceparent(traceparent) if traceparent else None
        if caller is not None:
            return Trace(caller.trace_id, caller.span_id) if caller.sampled else None
        trace_id = self._new_id()  # 32 hex digits
        return Trace(trace_id) if int(trace_id[:8], 16) < self.share * 2**32 else None

    def seen(self, row: Decision) -> None:
        """Queue a row that is traced."""
        if not row.trace_id:
            return
        if len(self._rows) >= MOST_WAITING:
            self.dropped += 1
            return
        self._rows.append(row)
        if len(self._rows) >= BATCH:
            self._wake.set()

    def counts(self) -> dict[str, int]:
        """Spans by what became of them."""
        return {"exported": self.exported, "dropped": self.dropped}

    def close(self) -> None:
        """Send what waits, once, and end. Blocks."""
        self._closing = True
        self._wake.set()
        self._thread.join()
        self._collector.close()

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(EVERY_S)
            self._wake.clear()
            self._send_all()

    def _send_all(self) -> None:
        while self._rows:
            rows = [self._rows.popleft() for _ in range(min(BATCH, len(self._rows)))]
            try:
                spans, problem = self._collector.send(rows)
            except Exception as error:  # noqa: BLE001 (the thread must not end while the service runs)
                spans, problem = len(rows), repr(error)
            if problem:
                self.dropped += spans
                if not self._failing:
                    self._log.warning("spans are dropped", why=problem)
            else:
                self.exported += spans
                if self._failing:
                    self._log.info("spans are taken again")
            self._failing = problem
            if problem and self._closing:
                self.dropped += len(self._rows)
                self._rows.clear()
