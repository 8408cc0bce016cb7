"""Some splits of one backend's problem, in a process of its own: prepare, decide for every subject, hand back stops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from training.sampling.candidates import Candidates, Floats
from training.sampling.expected import learner
from training.sampling.known import Known
from training.sampling.problem import LEAST_SAMPLES, SPLITS, Problem, problems_of
from training.sampling.runs import runs_of
from training.sampling.split import Split, split_of
from training.suites.sampling import SUBJECTS
from training.suites.sampling.decided import Decided
from training.suites.sampling.verified import FEWEST, SPLITS_OF, verified
from training.suites.workers import recording_at

TARGETS = (0.1, 0.5, 1.0, 2.0)  # points of loss that a setting may have on the tuning half
OURS = "apportion"
DEFAULT = "default"  # the operating point without tuning


@dataclass(frozen=True, slots=True)
class Job:
    """Everything a worker needs; small, because it is pickled."""

    folder: Path
    seed: int
    backend: str
    splits: tuple[int, ...]
    subjects: tuple[str, ...]  # names of `SUBJECTS`
    judges: bool = True  # samples by what they say for themselves


@dataclass(frozen=True, slots=True)
class Result:
    """What one job decided."""

    job: Job
    decided: list[Decided] = field(default_factory=list)


def run_job(job: Job) -> Result:
    """Called in the worker."""
    recording = recording_at(job.folder, hidden=False)
    problem = next(one for one in problems_of(recording, job.seed, FEWEST) if one.backend == job.backend)
    return decide_splits(problem, job)


def decide_splits(problem: Problem, job: Job) -> Result:
    """The same for a problem that is already there."""
    learn = learner(problem, job.judges)
    splits = [split for number in job.splits if (split := split_of(problem, number)) is not None]
    found: list[Decided] = []
    if problem.most >= LEAST_SAMPLES and problem.votes:
        known = Known.of(runs_of(problem, SPLITS), learn, SUBJECTS)
        for subject in job.subjects:
            offers = known.prepared(subject)
            for split in splits:
                candidates = offers(split)
                if candidates is not None:
                    found.extend(_at_every_point(subject, split, candidates, known.runs.reference))
    if OURS in job.subjects:
        for split in splits:
            if split.number < SPLITS_OF:
                found.extend(verified(problem, split, learn, OURS))
    return Result(job, found)


def _at_every_point(
    subject: str, split: Split, candidates: Candidates, reference: Floats
) -> Iterator[Decided]:
    taken = {point_of(target): candidates.taken(split.tuning, reference, target) for target in TARGETS}
    if candidates.default is not None:
        taken[DEFAULT] = candidates, candidates.default
    measured = split.measured
    for point, (of, setting) in taken.items():
        stops = of.stops(setting, split.number)[measured]
        speaks = of.speaks(setting, split.number)[measured] if of.speaks is not None else None
        yield Decided(subject, split.number, point, of.labels[setting], measured, stops, speaks)


def point_of(target: float) -> str:
    """The operating point tuned for so many points of loss.

    >>> point_of(0.1), point_of(1.0)
    ('0.1pt', '1pt')
    """
    return f"{target:g}pt"
