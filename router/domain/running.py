"""Which decision the running task works on, for whoever writes a log line meanwhile."""

from __future__ import annotations

from contextvars import ContextVar

decision_id: ContextVar[str] = ContextVar("decision_id", default="")  # of this task alone; "": none
