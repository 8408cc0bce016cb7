"""One fold in a process of its own: load, fit, decide for every subject, hand back compact decisions."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from router.plugins import resolve
from training.suites.allocation import SUBJECTS
from training.suites.allocation.decided import Decided, Outcomes
from training.suites.allocation.known import know
from training.suites.allocation.problem import Problem, allocation_problem
from training.suites.routing.problem import folds_by_text
from training.suites.workers import recording_at


@dataclass(frozen=True, slots=True)
class Job:
    """Everything a worker needs; small, because it is pickled."""

    folder: Path
    seed: int
    fold: int
    subjects: tuple[str, ...]  # names of `SUBJECTS`


@dataclass(frozen=True, slots=True)
class Result:
    """What one job decided, of the test queries of its fold."""

    job: Job
    outcomes: Outcomes | None
    decided: dict[str, Decided] = field(default_factory=dict)


def run_job(job: Job) -> Result:
    """Called in the worker."""
    return decide_fold(allocation_problem(recording_at(job.folder), job.seed), job)


def decide_fold(problem: Problem, job: Job) -> Result:
    """The same for a problem that is already loaded."""
    fold = next((fold for fold in folds_by_text(problem.routing) if fold.fold == job.fold), None)
    if fold is None:
        return Result(job, None)
    known = know(problem, fold)
    found: dict[str, Decided] = {}
    for subject in job.subjects:
        for name, decided in resolve("subject", SUBJECTS, subject)(known).items():
            found[name] = decided.of(fold.test)
    return Result(job, Outcomes.of(known.played, fold), found)
