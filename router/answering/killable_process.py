"""A worker process that answers one line with one line and is killed when it takes too long.

For what may compute for ever on a hostile text: a thread cannot be stopped, a process can. It starts with the first
question and again after it was killed. Blocking; call it from a thread.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

START_S = 60.0  # importing a large library takes seconds on a busy machine; not part of any question's limit


class KillableProcess:
    """A Python script that writes `ready` first, or `missing` where a library of its is not there. Safe in threads."""

    def __init__(self, script: Path) -> None:
        self.script = script
        self.killed = 0  # workers that broke a limit
        self.worker: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._missing = False
        self._closer: weakref.finalize[..., object] | None = None

    def start(self) -> bool:
        """Start the worker now rather than with the first question; False where it does not start."""
        with self._lock:
            return self._running() is not None

    def close(self) -> None:
        """End the worker; a later question starts another."""
        with self._lock:
            self._end()

    def ask(self, line: str, limit_s: float, words: frozenset[str]) -> str | None:
        """The worker's word, one of `words`; "" where it was killed or died, None where it does not start.

        `limit_s`: seconds by the clock. `line` has no line break.
        """
        with self._lock:
            worker = self._running()
            if worker is None:
                return None
            assert worker.stdin is not None  # noqa: S101 (both are pipes)
            try:
                worker.stdin.write(line.encode() + b"\n")
                worker.stdin.flush()
            except OSError:
                word = ""
            else:
                word = _line(worker, limit_s)
            if word not in words:
                self.killed += 1
                self._end()
                return ""
            return word

    def _running(self) -> subprocess.Popen[bytes] | None:
        if self.worker is not None or self._missing:
            return self.worker
        # -P: the script's own folder must not be searched for modules, it has a `selectors` of its own
        command = [sys.executable, "-P", str(self.script)]
        try:
            worker = subprocess.Popen(  # noqa: S603 (our own file)
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError:  # no memory or no process left for it: perhaps the next question finds some
            return None
        self.worker = worker
        self._closer = weakref.finalize(self, _stop, worker)
        word = _line(worker, START_S)
        if word != "ready":
            self._missing = word == "missing"
            self._end()
        return self.worker

    def _end(self) -> None:
        if self._closer is not None:
            self._closer()
        self.worker = self._closer = None


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
