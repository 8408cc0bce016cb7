"""Foreign Python, run where it can do no harm: no network, no files but an empty folder, limits on everything.

Linux namespaces (users, mounts, processes, network, IPC) make the room, resource limits what it may use: see
`sandbox_inside`. Where the kernel refuses them (some containers do) nothing is run, unless `weak` is allowed and we are
not root: then the limits, an empty environment and a folder of its own are all there is; the network is open, and what
the user may read and write it may. Blocking; call it from a thread. Linux only.

When it fails: it contains, it does not make honest. Code that was written to deceive may report success without having
passed; memory is limited per process, so in all to `processes` times as much.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path

INSIDE = Path(__file__).with_name("sandbox_inside.py")
REFUSED = 97  # exit code of `sandbox_inside`
START_S = 10.0  # for Python to start and make the room, on a busy machine
END_S = 5.0  # for killed processes to be gone


class Ran(Enum):
    """How a run ended."""

    PASSED = "passed"  # the code and the tests after it came to their end
    FAILED = "failed"  # an error, a limit, or an early exit
    REFUSED = "refused"  # the kernel does not let us shut it in: nothing was run


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may use."""

    # processor time of each process; by the clock, from its start on, twice that and a second
    limit_s: float = 5.0
    memory_bytes: int = 512 << 20  # address space of each process
    disk_bytes: int = 16 << 20  # in memory, gone afterwards
    processes: int = 1  # at once, itself included


def run(code: str, tests: str, limits: Limits, *, weak: bool = False) -> Ran:
    """Run `code`, then `tests` with the same names; nothing of it is left when this returns."""
    token = secrets.token_hex(16)
    job = json.dumps({"code": code, "tests": tests, "token": token}).encode()
    with tempfile.TemporaryDirectory(prefix="apportion-box-") as folder:
        asked = json.dumps(asdict(limits) | {"folder": folder, "weak": weak})
        # -P: the script's own folder must not be searched for modules, it has namesakes of the standard library's
        with subprocess.Popen(  # noqa: S603 (our own file)
            [sys.executable, "-I", "-S", "-P", str(INSIDE), asked],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd=folder,
            start_new_session=True,  # a process group of its own, killed as one
        ) as process:
            try:
                said = _exchange(process, job, 2 * limits.limit_s + 1)
                if said == b"." + token.encode():
                    return Ran.PASSED
                return Ran.REFUSED if _ended(process) == REFUSED else Ran.FAILED
            finally:
                _kill(process)


def _exchange(process: subprocess.Popen[bytes], job: bytes, limit_s: float) -> bytes:
    """Write the job and read the verdict, whichever is possible, until the end, the time, or more than a verdict."""
    assert process.stdin is not None  # noqa: S101 (both are pipes)
    assert process.stdout is not None  # noqa: S101
    source, sink, read = process.stdin.fileno(), process.stdout.fileno(), b""
    os.set_blocking(source, False)
    poll = select.poll()  # `select.select` fails above 1,024 open files
    poll.register(source, select.POLLOUT)
    poll.register(sink, select.POLLIN)
    until = time.monotonic() + START_S
    while (left := until - time.monotonic()) > 0 and len(read) <= 64:
        for descriptor, event in poll.poll(left * 1000):
            if descriptor == sink:
                piece = os.read(sink, 65)
                if not piece:
                    return read
                if not read:  # the point: the code begins
                    until = time.monotonic() + limit_s
                read += piece
                continue
            try:
                job = b"" if event & (select.POLLERR | select.POLLHUP) else job[os.write(source, job) :]
            except BrokenPipeError:
                job = b""
            if not job:
                poll.unregister(source)
                process.stdin.close()
    return read


def _ended(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(0.5)
    except subprocess.TimeoutExpired:
        return None


def _kill(process: subprocess.Popen[bytes]) -> None:
    """The group and, through their death signals, everyone in the room; waits until they have let go of the pipe."""
    assert process.stdin is not None  # noqa: S101 (both are pipes)
    assert process.stdout is not None  # noqa: S101
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if not process.stdin.closed:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
    process.wait()
    until, poll = time.monotonic() + END_S, select.poll()
    poll.register(process.stdout, select.POLLIN)
    while (left := until - time.monotonic()) > 0:
        if poll.poll(left * 1000) and not os.read(process.stdout.fileno(), 4096):
            return
