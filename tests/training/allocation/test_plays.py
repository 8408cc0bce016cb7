"""Plans played on arrays are the live allocator's plans, sample for sample."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from predictors import Look
from predictors.observation import Observation, Query, Signals
from predictors.pass_rate import correlation
from router.backends.recorded import QUERY_ID
from router.config import Config, PlanConfig, StageConfig
from router.configuration.build_plans import build_plans
from router.first_decision.draw import unit
from router.recording import Recording
from router.stopping.value_of_next import ValueOfNext
from training.menu import menu_of
from training.plan_outcomes import replay_plans
from training.suites.allocation.plays import NEVER, Leg, Shape, play
from training.suites.allocation.problem import NO_ROW, Problem, allocation_problem
from training.suites.allocation.said import Said
from training.suites.allocation.shapes import chain

P_CORRECT, P_TWO_CORRECT = 0.4, 0.25  # of every query and backend


def looks(query_id: str, backend: str, index: int) -> float:
    """A confidence that has nothing to do with anything."""
    return unit(0, "looks", f"{query_id} {backend} {index}")


@dataclass(frozen=True, slots=True)
class Looks:
    """`Predictions` that know nothing but `looks`, of which every sample's evidence is made, too."""

    version: str = "looks"

    def look(self, query: Query) -> Look:
        return Look(
            {
                f"{what}/{name}": p
                for what, p in (("p_correct", P_CORRECT), ("p_two_correct", P_TWO_CORRECT))
                for name in ("small", "large")
            }
        )

    def confidence(self, seen: Observation, look: Look) -> Signals:
        latest = seen.latest
        assert latest is not None
        sure = looks(seen.query.metadata[QUERY_ID], latest.backend, latest.index)
        return {"sample_confidence": sure, f"evidence/{latest.sample_id}": 3 * sure - 1}


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
        elif leg.least is not None:
            stop = {"kind": "value_of_next", "cost": leg.least}
        name, select = problem.backends[leg.backend], "majority" if leg.least is None else "weighted"
        found.append(StageConfig(backend=name, max_samples=leg.samples, stop=stop, select=select))
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
        Shape("weighed", (Leg(small, 5, least=0.01),)),
        Shape("weighed, hard to please", (Leg(small, 5, least=0.03),)),
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
    sure = np.array(
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
    model = ValueOfNext().model(P_CORRECT, correlation(P_CORRECT, P_TWO_CORRECT))
    models = np.broadcast_to([model.a, model.b], (*problem.reward.shape, 2))
    said = Said(sure, np.nan_to_num(3 * sure - 1), models)
    played = play(problem, shapes, said)
    assert np.array_equal(played.reward, live.reward)
    drawn = (played.rows != NO_ROW).sum(axis=2)
    first = np.append(0, np.cumsum([len(shape.legs) for shape in shapes]))
    by_plan = [live.samples[:, first[at] : first[at + 1]].sum(axis=1) for at in range(len(shapes))]
    assert np.array_equal(drawn, np.stack(by_plan, axis=1))
    assert 1 < drawn[:, 3].mean() < 4  # both of its ends happen
    assert 1 < drawn[:, 8].mean() < drawn[:, 7].mean() < 5


def test_weighed_votes_say_how_likely_their_answer_is(problem: Problem) -> None:
    """Of one sample it is the prior with its evidence; the answer without a vote has what it says alone."""
    small, rows = problem.backends.index("small"), len(problem.recording.columns) + 1
    models = np.broadcast_to([1.0, 1.0], (*problem.reward.shape, 2))
    shape = Shape("weighed", (Leg(small, 5, least=1.0),))  # nothing is worth that: the first vote ends it
    right = [
        play(problem, [shape], Said(np.full(rows, 0.25), np.full(rows, evidence), models)).right[:, 0]
        for evidence in (0.0, 2.0)
    ]
    odds = [one / (1 - one) for one in right]
    voted = problem.group[problem.drawn[0, 0, :, small, 0]] >= 0
    assert np.allclose(np.log(odds[1] / odds[0])[voted], 2.0)
    silent = (problem.group[problem.drawn[0, 0, :, small, :5]] < 0).all(axis=1)
    assert np.allclose(right[0][silent], 0.25)


def test_a_chain_goes_on_whatever_its_first_stage_found(problem: Problem) -> None:
    small, large = problem.backends.index("small"), problem.backends.index("large")
    votes = Shape("votes", (Leg(small, 3, 2),))
    alone, both = play(problem, [votes]), play(problem, [chain(problem, votes, large)])
    drawn = problem.drawn[0, 1, :, large, 0]
    assert np.array_equal(both.answer[:, 0], drawn)
    assert np.allclose(both.cost, alone.cost + problem.recording.columns.cost[drawn][:, None])


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
