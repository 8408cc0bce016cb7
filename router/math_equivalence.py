"""Whether two mathematical expressions are equal, decided by math-verify in a process that can be killed.

Sympy may compute for hours on a hostile expression, and a thread cannot be stopped: so one worker process does it,
under a time and a memory limit, and is replaced when it breaks them. Blocking; call it from a thread.

When it fails: under heavy load the limit is reached by innocent expressions too; they then count as different.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
import weakref
from collections import OrderedDict
from pathlib import Path

WORKER = Path(__file__).with_name("math_worker.py")
START_S = 60.0  # importing sympy takes seconds on a busy machine; not part of any expression's limit
LONGEST = 1000  # characters of an expression; longer ones are not compared
REMEMBERED = 4096  # pairs


class MathEquivalence:
    """One worker process, started by the first question and again after it broke a limit. Safe in threads."""

    def __init__(self, limit_s: float = 0.2) -> None:
        self.limit_s = limit_s  # seconds per pair
        self.killed = 0  # workers that broke a limit
        self._lock = threading.Lock()
        self._worker: subprocess.Popen[bytes] | None = None
        self._missing = False
        self._remembered: OrderedDict[tuple[str, str], bool | None] = OrderedDict()
        self._closer: weakref.finalize[..., object] | None = None

    def equal(self, first: str, second: str) -> bool | None:
        """True or False where it was decided; None: not parsed, too long, out of time, or no math-verify."""
        if max(len(first), len(second)) > LONGEST:
            return None
        pair = (first, second)
        with self._lock:
            if pair in self._remembered:
                self._remembered.move_to_end(pair)
                return self._remembered[pair]
            verdict = self._ask(first, second)
            self._remembered[pair] = verdict
            if len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
            return verdict

    def start(self) -> bool:
        """Start the worker now rather than with the first question; False where it does not: no math-verify."""
        with self._lock:
            return self._running() is not None

    def close(self) -> None:
        """End the worker; a later question starts another."""
        with self._lock:
            self._end()

    def _ask(self, first: str, second: str) -> bool | None:
        worker = self._running()
        if worker is None:
            return None
        assert worker.stdin is not None  # noqa: S101 (both are pipes)
        question = json.dumps({"a": first, "b": second, "limit_s": self.limit_s})
        try:
            worker.stdin.write(question.encode() + b"\n")
            worker.stdin.flush()
        except OSError:
            word = ""
        else:
            word = _line(worker, self.limit_s + 0.1)  # the worker's own timer comes first
        if word not in {"0", "1", "?"}:
            self.killed += 1
            self._end()
            return None
        return None if word == "?" else word == "1"

    def _running(self) -> subprocess.Popen[bytes] | None:
        if self._worker is not None or self._missing:
            return self._worker
        # -P: the script's own folder must not be searched for modules, it has a `selectors` of its own
        command = [sys.executable, "-P", str(WORKER)]
        try:
            worker = subprocess.Popen(  # noqa: S603 (our own file)
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError:  # no memory or no process left for it: perhaps the next question finds some
            return None
        self._worker = worker
        self._closer = weakref.finalize(self, _stop, worker)
        word = _line(worker, START_S)
        if word != "ready":
            self._missing = word == "missing"
            self._end()
        return self._worker

    def _end(self) -> None:
        if self._closer is not None:
            self._closer()
        self._worker = self._closer = None


def _line(worker: subprocess.Popen[bytes], limit_s: float) -> str:
    """The next line of the worker; "" where none came in time, or the worker ended."""
    assert worker.stdout is not None  # noqa: S101 (it is a pipe)
    descriptor, until, read = worker.stdout.fileno(), time.monotonic() + limit_s, b""
    poll = select.poll()  # `select.select` fails above 1,024 open files
    poll.register(descriptor, select.POLLIN)
    while not read.endswith(b"\n"):
        left = until - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            return ""
        piece = os.read(descriptor, 4096)
        if not piece:
            return ""
        read += piece
    return read.decode().strip()


def _stop(worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    worker.wait()
    for pipe in (worker.stdin, worker.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):  # what was not written is of no use any more
                pipe.close()
