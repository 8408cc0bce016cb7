"""One fold in a process of its own: load, decide for every subject, hand back compact decisions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from router.plugins import resolve
from training.suites.routing import SUBJECTS
from training.suites.routing.decided import Decided
from training.suites.routing.problem import Fold, Problem, folds_by_task, folds_by_text, routing_problem
from training.suites.workers import recording_at


@dataclass(frozen=True, slots=True)
class Job:
    """Everything a worker needs; small, because it is pickled."""

    folder: Path
    seed: int
    fold: int
    subjects: tuple[str, ...]  # names of `SUBJECTS` with the same folds


@dataclass(frozen=True, slots=True)
class Result:
    """What one job decided: subject, decisions, and the places of the test queries in the problem."""

    job: Job
    decided: tuple[tuple[str, Decided, NDArray[np.int64]], ...]


BY_TASK = ("apportion:unseen",)  # folds of whole tasks
ALONE = ("apportion", "apportion:few", *BY_TASK)  # they fit for long: a job each


def jobs_of(folder: Path, seed: int, folds: int, subjects: tuple[str, ...]) -> list[Job]:
    """The work of one seed, the quick subjects of a fold together."""
    quick = tuple(subject for subject in subjects if subject not in ALONE)
    groups = [quick] * bool(quick) + [(subject,) for subject in ALONE if subject in subjects]
    return [Job(folder, seed, fold, group) for fold in range(folds) for group in groups]


def folds_of(problem: Problem, subject: str) -> list[Fold]:
    """The splits of a subject, made before anything is fitted."""
    return folds_by_task(problem) if subject in BY_TASK else folds_by_text(problem)


def run_job(job: Job) -> Result:
    """Called in the worker."""
    problem = routing_problem(recording_at(job.folder), job.seed)
    return decide_fold(problem, job)


def decide_fold(problem: Problem, job: Job) -> Result:
    """The same for a problem that is already loaded."""
    found: list[tuple[str, Decided, NDArray[np.int64]]] = []
    fold = next((fold for fold in folds_of(problem, job.subjects[0]) if fold.fold == job.fold), None)
    if fold is None:
        return Result(job, ())
    for subject in job.subjects:
        decided = resolve("subject", SUBJECTS, subject)(fold)
        found += [(name, one, fold.test) for name, one in decided.items()]
    return Result(job, tuple(found))
