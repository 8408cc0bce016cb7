"""Whether two mathematical expressions are equal, decided by math-verify in a process that can be killed.

Sympy may compute for hours on a hostile expression: so one worker process does it, under a time and a memory limit,
and is replaced when it breaks them. Blocking; call it from a thread.

When it fails: under heavy load the limit is reached by innocent expressions too; they then count as different.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from pathlib import Path

from router.answering.killable_process import KillableProcess

WORKER = Path(__file__).with_name("math_worker.py")
WORDS = frozenset("01?")
LONGEST = 1000  # characters of an expression; longer ones are not compared
REMEMBERED = 4096  # pairs


class MathEquivalence:
    """One worker process, started by the first question and again after it broke a limit. Safe in threads."""

    def __init__(self, limit_s: float = 0.2) -> None:
        self.limit_s = limit_s  # seconds per pair
        self.process = KillableProcess(WORKER)
        self._lock = threading.Lock()
        self._remembered: OrderedDict[tuple[str, str], bool | None] = OrderedDict()

    @property
    def killed(self) -> int:
        """Workers that broke a limit."""
        return self.process.killed

    def equal(self, first: str, second: str) -> bool | None:
        """True or False where it was decided; None: not parsed, too long, out of time, or no math-verify."""
        if max(len(first), len(second)) > LONGEST:
            return None
        pair = (first, second)
        with self._lock:
            if pair in self._remembered:
                self._remembered.move_to_end(pair)
                return self._remembered[pair]
            question = json.dumps({"a": first, "b": second, "limit_s": self.limit_s})
            word = self.process.ask(question, self.limit_s + 0.1, WORDS)  # the worker's own timer comes first
            verdict = word == "1" if word in {"0", "1"} else None
            if word is None:
                return None  # no process could be had now; the next question may find one
            self._remembered[pair] = verdict
            if len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
            return verdict

    def start(self) -> bool:
        """Start the worker now rather than with the first question; False where it does not: no math-verify."""
        return self.process.start()

    def close(self) -> None:
        """End the worker; a later question starts another."""
        self.process.close()
