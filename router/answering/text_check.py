"""Whether a text fits a pattern or a JSON schema, decided in a process that can be killed.

Python's patterns may take for ever on a text made for it, with the interpreter's lock held; schemas hold patterns too.
So one worker process does it, under a limit of processor time, and is replaced when it breaks it. Blocking; call it
from a thread.
"""

from __future__ import annotations

import json
from pathlib import Path

from router.answering.killable_process import KillableProcess

WORKER = Path(__file__).with_name("check_worker.py")
WORDS = frozenset("01?")
PATIENCE = 20.0  # seconds by the clock per second of processor time, on a busy machine


class TextCheck:
    """One rule and the process that holds texts against it. Safe in threads."""

    def __init__(self, kind: str, rule: str, limit_s: float) -> None:
        self._asked = {"kind": kind, "rule": rule, "limit_s": limit_s}  # kind: "pattern" or "schema"
        self._wait_s = 2 + PATIENCE * limit_s
        self.process = KillableProcess(WORKER)

    def fits(self, text: str) -> bool | None:
        """Whether the whole text fits; False where that took too long, None where it cannot be said."""
        word = self.process.ask(json.dumps(self._asked | {"text": text}), self._wait_s, WORDS)
        return None if word is None or word == "?" else word == "1"
