"""The suite `ope`: every estimator at every exploration and size, on a thousand logs of known truth each."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from router.recording import Recording
from training.errors import TrainingError
from training.figures.spread import Spread
from training.off_policy.logged import Floats
from training.suites import Figures, Run, Suite
from training.suites.ope.bound import full_information
from training.suites.ope.measure import BOUND, Said, figures, over_bound, play
from training.suites.ope.reference import agreement
from training.suites.ope.world import World, world_of
from training.suites.routing.problem import count_left_out, routing_problem
from training.suites.workers import results_in_order

BATCH = 250  # runs of a job


@dataclass(frozen=True, slots=True)
class Job:
    """Some runs, for a process of its own; it takes the world along, which took longer to fit than the runs take."""

    world: World
    bound: Floats = field(compare=False)
    epsilon: float
    n: int
    runs: range
    seed: int


@dataclass(frozen=True, slots=True)
class OffPolicy(Suite):
    """Subjects are `<estimator>@<exploration>`; a seed says which queries train, and its share of the runs."""

    needs_recording: ClassVar[bool] = True
    explorations: tuple[float, ...] = (0.1, 0.3)
    sizes: tuple[int, ...] = (1000, 5000, 20000)
    runs: int = 1000  # logs of each exploration and size, over all seeds

    def run(self, recording: Recording | None, folder: Path | None, run: Run) -> Figures:
        """See `training.suites.ope.measure` for the figures."""
        if recording is None:
            raise TrainingError("ope: a recording is needed")
        each = -(-self.runs // run.seeds)
        found: dict[tuple[float, int, str], list[Said]] = defaultdict(list)
        agreed: dict[str, float] = {}
        compared: set[str] = set()
        problem = routing_problem(recording, run.seed)
        for number in range(run.seeds):
            seed = run.seed + number
            run.progress(f"seed {seed} · fits", number / run.seeds)
            world = world_of(recording, seed)
            compared |= set(world.backends)
            jobs = self._jobs(world, full_information(world, seed), each, seed)
            results = results_in_order(jobs, run.workers, run_job, run_job)
            for done, (job, said) in enumerate(zip(jobs, results, strict=True), 1):
                for name, one in said.items():
                    found[job.epsilon, job.n, name].append(one)
                share = (number + done / len(jobs)) / run.seeds
                run.progress(f"seed {seed} · exploration {job.epsilon:g} · {job.n} rows", share)
            if not agreed:
                agreed = {
                    f"{name}@{epsilon:g}": value
                    for epsilon in self.explorations
                    for name, value in agreement(world, epsilon, seed).items()
                }
        figures = self._figures({key: Said.joined(parts) for key, parts in found.items()}, agreed)
        count_left_out(figures, problem, compared)
        return figures

    def _jobs(self, world: World, bound: Floats, each: int, seed: int) -> list[Job]:
        return [
            Job(world, bound, epsilon, n, range(start, min(start + BATCH, each)), seed)
            for n in sorted(self.sizes, reverse=True)  # the longest first: no core waits for the last
            for epsilon in self.explorations
            for start in range(0, each, BATCH)
        ]

    def _figures(
        self, said: dict[tuple[float, int, str], Said], agreed: dict[str, float]
    ) -> dict[str, dict[str, Spread | float]]:
        subjects: dict[str, dict[str, Spread | float]] = {}
        names = list(dict.fromkeys(name for _, _, name in said if name != BOUND))
        largest = max(self.sizes)
        for name in names:
            for epsilon in self.explorations:
                subject = subjects.setdefault(f"{name}@{epsilon:g}", {})
                for n in self.sizes:
                    subject.update(figures(said[epsilon, n, name], n))
                same = {other: said[epsilon, largest, other] for other in (name, BOUND)}
                # else every query is worth the same: there is nothing to be told apart
                if same[BOUND].rmse > 0:
                    subject[f"rmse_over_bound@{largest}"] = over_bound(same, name)
                if f"{name}@{epsilon:g}" in agreed:
                    subject["agreement"] = agreed[f"{name}@{epsilon:g}"]
        return subjects


def run_job(job: Job) -> dict[str, Said]:
    """Called here or in a worker."""
    return play(job.world, job.bound, job.epsilon, job.n, job.runs, job.seed)
