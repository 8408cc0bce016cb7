"""The suite `budget`: every scenario on every seed. A seed says which queries are held out, and when they come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from router.recording import Recording
from training.errors import TrainingError
from training.figures.spread import Spread, spread
from training.suites import Figures, Run, Suite
from training.suites.budget.measure import measure
from training.suites.budget.scenarios import SCENARIOS
from training.suites.budget.world import World, world_of
from training.suites.routing.problem import count_left_out, routing_problem
from training.suites.workers import recording_at, results_in_order

Found = dict[str, dict[str, float]]  # scenario -> figure -> value


@dataclass(frozen=True, slots=True)
class Job:
    """One seed, for a process of its own."""

    folder: Path
    seed: int
    scenarios: tuple[str, ...]
    scale: float


@dataclass(frozen=True, slots=True)
class Budget(Suite):
    """The real ledger, prices and rule in virtual time. Needs no more of a recording than `routing` does."""

    needs_recording: ClassVar[bool] = True
    scenarios: tuple[str, ...] = tuple(SCENARIOS)
    scale: float = 1.0  # of the number of queries

    def run(self, recording: Recording | None, folder: Path | None, run: Run) -> Figures:
        """Scenario -> figures; see `training.suites.budget.measure`."""
        if recording is None or folder is None:
            raise TrainingError("budget: a recording is needed")
        jobs = [
            Job(folder, seed, self.scenarios, self.scale) for seed in range(run.seed, run.seed + run.seeds)
        ]
        problem = routing_problem(recording, run.seed)
        every: list[Found] = []

        def here(job: Job) -> Found:
            def tell(what: str, share: float) -> None:
                run.progress(f"seed {job.seed}, {what}", (len(every) + share) / len(jobs))

            return _measured(world_of(recording, job.seed), job, tell)

        for found in results_in_order(jobs, run.workers, here, run_job):
            every.append(found)
            run.progress(f"seed {jobs[len(every) - 1].seed}", len(every) / len(jobs))
        figures = {name: _spreads([found[name] for found in every]) for name in self.scenarios}
        count_left_out(figures, problem)
        return figures


def run_job(job: Job) -> Found:
    """Called in the worker."""
    return _measured(world_of(recording_at(job.folder), job.seed), job)


def _measured(world: World, job: Job, tell: Callable[[str, float], None] = lambda what, share: None) -> Found:
    found: Found = {}
    for name in job.scenarios:
        tell(name, len(found) / len(job.scenarios))
        found[name] = measure(world, name, job.seed, job.scale)
    return found


def _spreads(values: list[dict[str, float]]) -> dict[str, Spread | float]:
    found: dict[str, Spread | float] = {}
    for figure in dict.fromkeys(figure for one in values for figure in one):
        value = spread([[one.get(figure, float("nan"))] for one in values])
        if value is not None:
            found[figure] = value
    return found
