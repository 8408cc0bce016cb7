"""The suite `early_exit`: how many tokens every way to stop a trace saves, and what it loses, backend by backend."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from router.plugins import resolve
from router.recording import Recording
from training.errors import NotEnoughData, TrainingError
from training.figures.spread import Spread
from training.suites import Figures, Run, Suite
from training.suites.early_exit import SUBJECTS
from training.suites.early_exit.decided import Decided, as_rows
from training.suites.early_exit.figures import EarlyExitFigures
from training.suites.early_exit.halves import Known, half_of
from training.suites.early_exit.pruned import SUBJECTS as PRUNED
from training.suites.early_exit.pruned import pruned, together
from training.suites.early_exit.pruned_figures import PrunedFigures
from training.suites.early_exit.traces import HALVES, LEAST_LOOKS, LEAST_TRACES, Traces, traces_of
from training.suites.workers import recording_at, results_in_order

PARTS = 2  # jobs per backend: what is prepared is prepared in each


@dataclass(frozen=True, slots=True)
class Job:
    """Everything a worker needs; small, because it is pickled."""

    folder: Path
    seed: int
    backend: str
    splits: tuple[int, ...]
    subjects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """What one job decided: (subject, split, decision)."""

    job: Job
    decided: list[tuple[str, int, Decided]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class EarlyExit(Suite):
    """Random halves by text, made before anything is fitted; every subject sees the same traces."""

    needs_recording: ClassVar[bool] = True
    subjects: tuple[str, ...] = tuple(SUBJECTS)
    splits: int = HALVES  # fewer: a quick look; HALVES at most

    def run(self, recording: Recording | None, folder: Path | None, run: Run) -> Figures:
        """Figures of every subject. See `training.suites.early_exit.figures`."""
        if recording is None or folder is None:
            raise TrainingError("early_exit: a recording is needed")
        problems = {traces.backend: traces for traces in traces_of(recording)}
        if not problems:
            raise NotEnoughData(
                f"early_exit needs a backend with {LEAST_LOOKS} snapshots or more in {LEAST_TRACES} labelled traces "
                f"that max_tokens did not cut; {recording.name} has none"
            )
        first = next(iter(problems))
        figures = EarlyExitFigures(recording)
        jobs = [
            Job(folder, seed, backend, tuple(range(part, self.splits, PARTS)), self.subjects)
            for seed in range(run.seed, run.seed + run.seeds)
            for backend in problems
            for part in range(PARTS)
        ]

        def here(job: Job) -> Result:
            return decide(problems[job.backend], job)

        for done, result in enumerate(results_in_order(jobs, run.workers, here, run_job), 1):
            job = result.job
            traces = problems[job.backend]
            for name, split, decided in result.decided:
                subject = name if job.backend == first else f"{name}:{job.backend}"
                for rows in as_rows(decided, traces, subject=subject, seed=job.seed, split=split):
                    figures.take(rows)
                    if run.write is not None:
                        run.write(rows)
            run.progress(job.backend, done / len(jobs))
        found = {**with_counts(figures.figures(), problems, first), **self._pruned(recording, run)}
        if not found:
            raise NotEnoughData(
                f"early_exit halves the queries by their texts; those of {recording.name} are too few or too alike"
            )
        return found

    def _pruned(self, recording: Recording, run: Run) -> Figures:
        """What pruning loses, where queries have several samples."""
        figures = PrunedFigures(recording)
        groups = [one for name in recording.backends if (one := together(recording, name)) is not None]
        for seed in range(run.seed, run.seed + run.seeds):
            for group in groups:
                for subject in PRUNED:
                    name = subject if group is groups[0] else f"{subject}:{group.backend}"
                    for rows in pruned(group, subject, name, seed):
                        figures.take(rows)
                        if run.write is not None:
                            run.write(rows)
        return figures.figures()


def with_counts(figures: Figures, problems: dict[str, Traces], first: str) -> Figures:
    """Each subject's figures and how many traces there are, were cut, or lack labels."""
    found: dict[str, dict[str, Spread | float]] = {}
    for subject, values in figures.items():
        traces = problems[subject.partition(":")[2] or first]
        found[subject] = dict(values) | {
            "traces": float(len(traces)),
            "left_out_cut": float(traces.cut),
            "left_out_unlabelled": float(traces.unlabelled),
        }
    return found


def run_job(job: Job) -> Result:
    """Called in the worker."""
    recording = recording_at(job.folder)
    return decide(next(one for one in traces_of(recording) if one.backend == job.backend), job)


def decide(traces: Traces, job: Job) -> Result:
    """The same for traces that are already there."""
    known = Known.of(traces, job.seed)
    subjects = {name: resolve("subject", SUBJECTS, name)(known) for name in job.subjects}
    result = Result(job)
    for split in job.splits:
        half = half_of(known, split)
        if half is None:
            continue
        for name, decides in subjects.items():
            decided = decides(half)
            if decided is not None:
                result.decided.append((name, split, decided))
    return result
