"""The suite `routing`: which backend answers, by every way to route, fold by fold in parallel processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from router.recording import Recording
from training.errors import TrainingError
from training.suites import Figures, Run, Suite
from training.suites.routing import SUBJECTS
from training.suites.routing.decided import as_rows
from training.suites.routing.figures import RoutingFigures
from training.suites.routing.problem import FOLDS, count_left_out, routing_problem
from training.suites.routing.run_fold import Job, Result, decide_fold, jobs_of, run_job
from training.suites.workers import results_in_order


@dataclass(frozen=True, slots=True)
class Routing(Suite):
    """Splits by text, made before anything is fitted; every subject sees the same served samples."""

    needs_recording: ClassVar[bool] = True
    subjects: tuple[str, ...] = tuple(SUBJECTS)

    def run(self, recording: Recording | None, folder: Path | None, run: Run) -> Figures:
        """Figures of every subject. See `training.suites.routing.figures`."""
        if recording is None or folder is None:
            raise TrainingError("routing: a recording is needed")
        collected = RoutingFigures(recording)
        problems = {seed: routing_problem(recording, seed) for seed in range(run.seed, run.seed + run.seeds)}
        jobs = [job for seed in problems for job in jobs_of(folder, seed, FOLDS, self.subjects)]

        def here(job: Job) -> Result:
            return decide_fold(problems[job.seed], job)

        results = results_in_order(jobs, run.workers, here, run_job)
        for done, result in enumerate(results, 1):
            for subject, decided, test in result.decided:
                for rows in as_rows(decided, problems[result.job.seed], subject, result.job.fold, test):
                    collected.take(rows)
                    if run.write is not None:
                        run.write(rows)
            run.progress(f"fold {result.job.fold + 1} · {result.job.subjects[-1]}", done / len(jobs))
        figures = collected.figures()
        count_left_out(figures, problems[run.seed])
        if run.plots is not None:
            from training.suites.routing.plot import plot_frontiers

            plot_frontiers(collected, run.plots / f"routing-{recording.name}.png")
        return figures
