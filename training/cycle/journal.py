"""Stages of cycles in one file, replaced whole: a stage that is written down is never done again.

A stage that was killed is: so each must give the same when it is begun anew, or add to what is there.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from training.errors import TrainingError

FILE = "journal.json"


class Cycle(msgspec.Struct, frozen=True):
    """One run through all stages."""

    number: int
    began_at: float  # seconds since the epoch
    stages: dict[str, Any] = {}  # name -> what it found, JSON types, in order
    ended_at: float | None = None
    took: dict[str, float] = {}  # stage -> seconds


class Written(msgspec.Struct, frozen=True):
    """The file."""

    cycles: tuple[Cycle, ...] = ()  # oldest first
    tests: int = 0  # verdicts about candidates since the last promotion: each pays for those before
    trusted_since: float = 0.0  # what was logged before is about other backends (seconds since the epoch)


class Journal:
    """Of one work folder. Only one cycle runs there at a time."""

    def __init__(self, folder: Path, timer: Callable[[], float] = time.perf_counter) -> None:
        self.path, self._timer = folder / FILE, timer

    def read(self) -> Written:
        """What was written; nothing at first. Raises `TrainingError`."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Written)
        except FileNotFoundError:
            return Written()
        except msgspec.MsgspecError as error:
            raise TrainingError(f"{self.path}: {error}; take it away to begin anew") from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder. Raises `TrainingError` while another cycle does."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_name(".cycle.lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise TrainingError(f"{self.path.parent}: another cycle is running here") from error
            yield

    def unfinished(self, now_s: float) -> Cycle:
        """The cycle that was begun and not ended, or a new one (written at once)."""
        written = self.read()
        if written.cycles and written.cycles[-1].ended_at is None:
            return written.cycles[-1]
        last = written.cycles[-1].number if written.cycles else 0
        cycle = Cycle(last + 1, now_s)
        self._write(msgspec.structs.replace(written, cycles=(*written.cycles, cycle)))
        return cycle

    def begin_from(self, written: Written) -> None:
        """Write what another folder's journal says, but for a cycle that has not ended: its log is not here."""
        ended = tuple(cycle for cycle in written.cycles if cycle.ended_at is not None)
        self._write(msgspec.structs.replace(written, cycles=ended))

    def stage(self, name: str, work: Callable[[], Any], **about_all: Callable[[Written, Any], Any]) -> Any:
        """What the running cycle's stage found: from the file, else by doing it and writing it down.

        `about_all`: fields of `Written` that change with the same write, from what was written and what was found.
        """
        written = self.read()
        cycle = written.cycles[-1]
        if name in cycle.stages:
            return cycle.stages[name]
        begun = self._timer()
        found = work()
        took = {**cycle.took, name: round(self._timer() - begun, 3)}
        written = self.read()
        cycle = msgspec.structs.replace(cycle, stages={**cycle.stages, name: found}, took=took)
        changed = {field: change(written, found) for field, change in about_all.items()}
        self._write(msgspec.structs.replace(written, cycles=(*written.cycles[:-1], cycle), **changed))
        return found

    def end(self, now_s: float) -> Cycle:
        """The running cycle is over."""
        written = self.read()
        cycle = msgspec.structs.replace(written.cycles[-1], ended_at=now_s)
        self._write(msgspec.structs.replace(written, cycles=(*written.cycles[:-1], cycle)))
        return cycle

    def _write(self, written: Written) -> None:
        number, draft = tempfile.mkstemp(prefix=f".{FILE}.", dir=self.path.parent)
        try:
            with os.fdopen(number, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(written), indent=1))
                file.flush()
                os.fsync(file.fileno())
            Path(draft).replace(self.path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
