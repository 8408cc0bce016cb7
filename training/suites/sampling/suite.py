"""The suite `sampling`: how many samples every way to stop draws, and what it loses, backend by backend."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from router.recording import Recording
from training.errors import NotEnoughData, TrainingError
from training.sampling.expected import worth_judging
from training.sampling.problem import LEAST_QUERIES, SPLITS, problems_of
from training.sampling.runs import local_classes
from training.suites import Figures, Run, Suite
from training.suites.sampling import SUBJECTS
from training.suites.sampling.decided import Decided, Order, as_rows
from training.suites.sampling.figures import SamplingFigures
from training.suites.sampling.run_splits import Job, Result, decide_splits, run_job
from training.suites.sampling.verified import FEWEST
from training.suites.workers import results_in_order

PARTS = 2  # jobs per backend: what is prepared is prepared in each


@dataclass(frozen=True, slots=True)
class Sampling(Suite):
    """Splits by text, made before anything is fitted; every subject sees the same samples in the same orders.

    Of a backend with two or three samples of a query, or without answers to vote on, only what a perfect verifier would
    allow is measured.
    """

    needs_recording: ClassVar[bool] = True
    subjects: tuple[str, ...] = tuple(SUBJECTS)
    splits: int = SPLITS  # fewer: a quick look; SPLITS at most

    def run(self, recording: Recording | None, folder: Path | None, run: Run) -> Figures:
        """Figures of every subject. See `training.suites.sampling.figures`."""
        if recording is None or folder is None:
            raise TrainingError("sampling: a recording is needed")
        problems = {
            (seed, problem.backend): problem
            for seed in range(run.seed, run.seed + run.seeds)
            for problem in problems_of(recording, seed, FEWEST)
        }
        if not problems:
            raise NotEnoughData(
                f"sampling needs a backend with {FEWEST} labelled samples of {LEAST_QUERIES} queries; "
                f"{recording.name} has none"
            )
        judged = worth_judging(one for (seed, _), one in problems.items() if seed == run.seed)
        collected = SamplingFigures(recording)
        jobs = [
            Job(
                folder,
                seed,
                backend,
                tuple(range(part, self.splits, PARTS)),
                self.subjects,
                backend in judged,
            )
            for seed, backend in problems
            for part in range(PARTS)
        ]

        def here(job: Job) -> Result:
            return decide_splits(problems[job.seed, job.backend], job)

        run.progress(f"{len(jobs)} parts", 0.0)  # the first may take minutes
        results = results_in_order(jobs, run.workers, here, run_job)
        for done, result in enumerate(results, 1):
            job = result.job
            problem = problems[job.seed, job.backend]
            local = local_classes(problem)
            by_split: dict[int, list[Decided]] = {}
            for decided in result.decided:
                by_split.setdefault(decided.split, []).append(decided)
            for split, several in by_split.items():
                order = Order.of(problem, local, split)
                for decided in several:
                    rows = as_rows(decided, order, problem, collected.subject(decided.subject, job.backend))
                    collected.take(rows)
                    if run.write is not None:
                        run.write(rows)
            run.progress(f"{job.backend}", done / len(jobs))
        figures = collected.figures()
        if not figures:
            raise NotEnoughData(
                f"sampling needs texts that can be split; those of {recording.name} are all in one half"
            )
        return figures
