"""Plans played on arrays are the live allocator's plans, sample for sample."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from predictors import Look
from predictors.observation import Observation, Query, Signals
from router.backends.recorded import QUERY_ID
from router.config import Config, PlanConfig, StageConfig
from router.configuration.build_plans import build_plans
from router.draw import unit
from router.recording import Recording
from training.menu import menu_of
from training.plan_outcomes import replay_plans
from training.suites.allocation.plays import NEVER, Leg, Shape, play
from training.suites.allocation.problem import NO_ROW, Problem, allocation_problem


def looks(query_id: str, backend: str, index: int) -> float:
    """A confidence that has nothing to do with anything."""
    return unit(0, "looks", f"{query_id} {backend} {index}")


@dataclass(frozen=True, slots=True)
class Looks:
    """`Predictions` that know nothing but `looks`."""

    version: str = "looks"

    def look(self, query: Query) -> Look:
        return Look()

    def confidence(self, seen: Observation, look: Look) -> Signals:
        latest = seen.latest
        assert latest is not None
        return {"sample_confidence": looks(seen.query.metadata[QUERY_ID], latest.backend, latest.index)}


@pytest.fixture(scope="module")
def problem(made: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Problem:
    folder = made.write_pattern(tmp_path_factory.mktemp("plays") / "made", 60, samples=5)
    return allocation_problem(Recording.load(folder), seed=3)


def stages(problem: Problem, shape: Shape) -> tuple[StageConfig, ...]:
    """The shape as configuration writes it."""
    found = []
    for leg in shape.legs:
        stop: str | dict[str, object] = "never"
        if leg.confident is not None:
            stop = {"kind": "confident", "threshold": leg.confident}
        elif leg.needed != NEVER:
            stop = {"kind": "agreement", "needed": leg.needed}
        name = problem.backends[leg.backend]
        found.append(StageConfig(backend=name, max_samples=leg.samples, stop=stop, select="majority"))
    return tuple(found)


def test_every_kind_of_plan_draws_and_answers_as_the_live_allocator_does(
    problem: Problem, tmp_path: Path
) -> None:
    small, large = problem.backends.index("small"), problem.backends.index("large")
    shapes = [
        Shape("alone", (Leg(small),)),
        Shape("vote", (Leg(small, 5, 3),)),
        Shape("all", (Leg(small, 4, NEVER),)),
        Shape("agree", (Leg(small, 3, 2), Leg(large))),
        Shape("sure", (Leg(small, 1, NEVER, 0.5), Leg(large))),
        Shape("both", (Leg(small), Leg(large))),
        Shape("votes", (Leg(small, 2, 2), Leg(large, 3, 2))),
    ]
    recording = problem.recording
    ids = [recording.queries[place].query_id for place in problem.routing.queries]
    menu = menu_of(recording, tmp_path, seed=3)
    plans = tuple(PlanConfig(name=shape.name, stages=stages(problem, shape)) for shape in shapes)
    config = Config(
        backends=menu.backends, plans=plans, reference="alone", policy="utility", seed=3, store=menu.store
    )
    live = replay_plans(config, recording, ids, tuple(build_plans(config).values()), Looks())
    seen = recording.columns
    confidence = np.array(
        [
            looks(
                recording.queries[seen.query[row]].query_id,
                recording.backends[seen.backend[row]],
                int(seen.sample_idx[row]),
            )
            for row in range(len(seen))
        ]
        + [np.nan]
    )
    played = play(problem, shapes, confidence)
    assert np.array_equal(played.reward, live.reward)
    drawn = (played.rows != NO_ROW).sum(axis=2)
    first = np.append(0, np.cumsum([len(shape.legs) for shape in shapes]))
    by_plan = [live.samples[:, first[at] : first[at + 1]].sum(axis=1) for at in range(len(shapes))]
    assert np.array_equal(drawn, np.stack(by_plan, axis=1))
    assert 1 < drawn[:, 3].mean() < 4  # both of its ends happen


def test_a_plan_costs_the_samples_that_it_drew(problem: Problem) -> None:
    played = play(problem, [Shape("vote", (Leg(0, 5, 3),)), Shape("both", (Leg(1), Leg(0)))])
    cost = problem.recording.columns.cost
    for at in range(len(problem.reward)):
        for plan in range(2):
            rows = played.rows[at, plan]
            assert played.cost[at, plan] == pytest.approx(cost[rows[rows != NO_ROW]].sum(), rel=1e-12)


def test_orders_are_permutations_of_the_same_samples(problem: Problem) -> None:
    one, *others = problem.drawn[:, 0]
    for other in others:
        assert np.array_equal(np.sort(one, axis=2), np.sort(other, axis=2))
        assert not np.array_equal(one, other)
