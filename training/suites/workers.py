"""The jobs of a suite in processes of their own, their results in the jobs' order."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from router.recording import Recording
from training.end_with_parent import end_with_parent
from training.one_thread import one_thread

Job = TypeVar("Job")
Result = TypeVar("Result")


def results_in_order(
    jobs: Sequence[Job],
    workers: int,
    here: Callable[[Job], Result],  # with what is loaded already
    there: Callable[[Job], Result],  # a module's function: pickled, and called in the worker
) -> Iterator[Result]:
    """One result per job; their order, and so files and figures, do not depend on which worker was faster."""
    workers = min(workers, len(jobs))
    if workers <= 1:
        for job in jobs:
            with one_thread():
                result = here(job)
            yield result
        return
    context = multiprocessing.get_context("spawn")
    with one_thread_each(), ProcessPoolExecutor(workers, context, initializer=end_with_parent) as pool:
        yield from pool.map(there, jobs)


@lru_cache(maxsize=1)
def recording_at(folder: Path, *, hidden: bool = True) -> Recording:
    """The recording of a worker's jobs, checked already: read with the first of them, kept for the others."""
    return Recording.load(folder, verify=False, hidden=hidden)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Workers that each start a thread per core would fight for the cores; they read this when they start."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
