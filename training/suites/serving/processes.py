"""Servers as processes of their own, and what they use of the processor and of memory (Linux)."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training.errors import TrainingError

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
STOPS_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Running:
    """A server that listens."""

    pid: int
    address: str  # of its Router service, HOST:PORT
    admin: str = ""
    http: str = ""  # of its OpenAI door
    token: str = ""  # of its callers; "": it asks for none

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What every call says of its caller."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    def cpu_s(self) -> float:
        """Processor seconds of the process and all its children so far."""
        return sum(map(_cpu_s, self.family()))

    def rss_mb(self) -> float:
        """Resident memory of the process and all its children, in units of 10^6 bytes."""
        return sum(map(_rss_bytes, self.family())) / 1e6

    def family(self) -> list[int]:
        """The process and its descendants."""
        found = [self.pid]
        for pid in found:
            for task in _children_files(pid):
                with contextlib.suppress(OSError):
                    found += [int(child) for child in task.read_text().split()]
        return found


@contextlib.contextmanager
def running(log: Path, *module_and_arguments: str, token: str = "") -> Iterator[Running]:
    """`python -m …`, until the block ends: then SIGTERM. Raises `TrainingError` with the end of its log."""
    with log.open("wb") as errors:
        process = subprocess.Popen(  # noqa: S603 (our own command)
            [sys.executable, "-m", *module_and_arguments], stdout=subprocess.PIPE, stderr=errors, text=True
        )
        try:
            line = process.stdout.readline() if process.stdout else ""
            found = dict(part.split("=", 1) for part in line.split()[1:])
            if "router" not in found:
                process.wait(STOPS_WITHIN_S)
                said = log.read_text("utf-8", "replace")[-2000:]
                raise TrainingError(f"serving: {module_and_arguments[0]} did not start: {said.strip()}")
            yield Running(process.pid, found["router"], found.get("admin", ""), found.get("http", ""), token)
        finally:
            process.terminate()
            try:
                process.wait(STOPS_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()


def served(
    config: Path, name: str, *arguments: str, token: str = ""
) -> contextlib.AbstractContextManager[Running]:
    """The service of a configuration, on free ports; its log stands beside the configuration.

    `token` is what its callers say, where it asks for one.
    """
    ports = ("--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
    log = config.with_name(f"{name}.log")
    command = ("router", "serve", "--config", str(config), *ports, *arguments)
    return running(log, *command, token=token)


def _children_files(pid: int) -> list[Path]:
    with contextlib.suppress(OSError):
        return [task / "children" for task in Path(f"/proc/{pid}/task").iterdir()]
    return []


def _cpu_s(pid: int) -> float:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S
    return 0.0


def _rss_bytes(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    return 0
