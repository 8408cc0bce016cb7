"""Some splits of one backend's problem, in a process of its own: prepare, decide for every subject, hand back stops."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from router.plugins import resolve
from router.recording import Recording
from training.suites.sampling import SUBJECTS
from training.suites.sampling.decided import Decided
from training.suites.sampling.problem import SPLITS, Problem, problems_of
from training.suites.sampling.runs import runs_of
from training.suites.sampling.split import split_of

TARGETS = (0.1, 0.5, 1.0, 2.0)  # points of loss that a setting may have on the tuning half
DEFAULT = "default"  # the operating point without tuning


@dataclass(frozen=True, slots=True)
class Job:
    """Everything a worker needs; small, because it is pickled."""

    folder: Path
    seed: int
    backend: str
    splits: tuple[int, ...]
    subjects: tuple[str, ...]  # names of `SUBJECTS`


@dataclass(frozen=True, slots=True)
class Result:
    """What one job decided."""

    job: Job
    decided: list[Decided] = field(default_factory=list)


def run_job(job: Job) -> Result:
    """Called in the worker."""
    recording = Recording.load(job.folder, verify=False, hidden=False)
    problem = next(one for one in problems_of(recording, job.seed) if one.backend == job.backend)
    return decide_splits(problem, job)


def decide_splits(problem: Problem, job: Job) -> Result:
    """The same for a problem that is already there."""
    runs = runs_of(problem, SPLITS)
    reference = runs.reference
    splits = [split for number in job.splits if (split := split_of(problem, number)) is not None]
    found: list[Decided] = []
    for subject in job.subjects:
        offers = resolve("subject", SUBJECTS, subject)(runs)
        for split in splits:
            candidates = offers(split)
            if candidates is None:
                continue
            chosen = {
                point_of(target): candidates.chosen(split.tuning, reference, target) for target in TARGETS
            }
            if candidates.default is not None:
                chosen[DEFAULT] = candidates.default
            measured = split.measured
            found.extend(
                Decided(
                    subject,
                    split.number,
                    point,
                    candidates.labels[setting],
                    measured,
                    candidates.stops[setting, split.number, measured],
                )
                for point, setting in chosen.items()
            )
    return Result(job, found)


def point_of(target: float) -> str:
    """The operating point tuned for so many points of loss.

    >>> point_of(0.1), point_of(1.0)
    ('0.1pt', '1pt')
    """
    return f"{target:g}pt"
