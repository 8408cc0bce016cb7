"""The suite `allocation`: model, samples and stop chosen together, next to every way to choose one of them alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from router.recording import Recording
from training.errors import TrainingError
from training.suites import Figures, Run, Suite
from training.suites.allocation import SUBJECTS
from training.suites.allocation.decided import as_rows
from training.suites.allocation.figures import AllocationFigures
from training.suites.allocation.problem import allocation_problem
from training.suites.allocation.run_fold import Job, Result, decide_fold, run_job
from training.suites.routing.problem import FOLDS, count_left_out, folds_by_text
from training.suites.workers import results_in_order


@dataclass(frozen=True, slots=True)
class Allocation(Suite):
    """Splits by text, made before anything is fitted; every subject draws the same samples in the same order."""

    needs_recording: ClassVar[bool] = True
    subjects: tuple[str, ...] = tuple(SUBJECTS)

    def run(self, recording: Recording | None, folder: Path | None, run: Run) -> Figures:
        """Figures of every subject. See `training.suites.allocation.figures`."""
        if recording is None or folder is None:
            raise TrainingError("allocation: a recording is needed")
        collected = AllocationFigures(recording)
        problems = {
            seed: allocation_problem(recording, seed) for seed in range(run.seed, run.seed + run.seeds)
        }
        tests = {
            (seed, fold.fold): fold.test
            for seed, problem in problems.items()
            for fold in folds_by_text(problem.routing)
        }
        jobs = [Job(folder, seed, fold, self.subjects) for seed in problems for fold in range(FOLDS)]

        def here(job: Job) -> Result:
            return decide_fold(problems[job.seed], job)

        run.progress(f"{len(jobs)} folds", 0.0)  # the first may take minutes
        results = results_in_order(jobs, run.workers, here, run_job)
        for done, result in enumerate(results, 1):
            job = result.job
            if result.outcomes is not None:
                for subject, decided in result.decided.items():
                    for rows in as_rows(
                        decided,
                        result.outcomes,
                        problems[job.seed],
                        subject,
                        job.fold,
                        tests[job.seed, job.fold],
                    ):
                        collected.take(rows)
                        if run.write is not None:
                            run.write(rows)
            run.progress(f"fold {job.fold + 1}", done / len(jobs))
        figures = collected.figures()
        count_left_out(figures, problems[run.seed].routing)
        if run.plots is not None:
            from training.suites.allocation.plot import plot_allocation

            plot_allocation(collected, run.plots / f"allocation-{recording.name}.png")
        return figures
