"""A thread that reduces and writes, so that neither a slow disk nor a long trace holds up the model.

A sequence's blocks may be freed once it was reduced, before it is written. What fails is counted and said once a
minute; nothing that happens here reaches the engine.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from predictors.vllm.folder import StateFolder
from predictors.vllm.state_file import States, encoded

MOST_WAITING = 1024  # sequences whose blocks are held
_SWEEP_S = 1.0
_SAY_S = 60.0


@dataclass(frozen=True, slots=True)
class Job:
    """One finished sequence."""

    request_id: str
    tenant: str
    key: str
    index: int
    reduce: Callable[[], States]


class StateWriter:
    """Takes jobs from the engine's thread and says which of them need their blocks no more."""

    def __init__(self, folder: StateFolder, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say
        self._said = -_SAY_S
        self._jobs: queue.Queue[Job | None] = queue.Queue()
        self._reduced: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.lost = 0  # states that could not be written
        self.written = 0
        self._thread = threading.Thread(target=self._work, name="apportion-states", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Reduce and write it soon; where too many wait, it is lost at once."""
        if self._jobs.qsize() >= MOST_WAITING or not self._thread.is_alive():
            self._lose(job, "too many wait")
            self._reduced.put(job.request_id)
        else:
            self._jobs.put(job)

    def released(self) -> set[str]:
        """The request ids whose blocks may be freed, each once."""
        found: set[str] = set()
        while True:
            try:
                found.add(self._reduced.get_nowait())
            except queue.Empty:
                return found

    def close(self, within_s: float = 5.0) -> None:
        """Write what waits and end the thread."""
        self._jobs.put(None)
        self._thread.join(within_s)

    def _work(self) -> None:
        swept = time.monotonic()
        while True:
            try:
                job = self._jobs.get(timeout=_SWEEP_S)
            except queue.Empty:
                pass
            else:
                if job is None:
                    return
                self._one(job)
            if time.monotonic() - swept >= _SWEEP_S:
                swept = time.monotonic()
                try:
                    self._folder.sweep(time.time())
                except OSError as error:
                    self._warn(f"the folder cannot be swept: {error}")

    def _one(self, job: Job) -> None:
        try:
            states = job.reduce()
        except Exception as error:  # noqa: BLE001 (the engine must go on whatever happens here)
            self._lose(job, repr(error))
            return
        finally:
            self._reduced.put(job.request_id)
        try:
            self._folder.put(job.tenant, job.key, job.index, encoded(states))
            self.written += 1
        except OSError as error:
            self._lose(job, str(error))

    def _lose(self, job: Job, why: str) -> None:
        self.lost += 1
        self._warn(f"the states of {job.request_id} are lost ({self.lost} so far): {why}")

    def _warn(self, message: str) -> None:
        now = time.monotonic()
        if now - self._said >= _SAY_S:
            self._said = now
            self._say(message)
