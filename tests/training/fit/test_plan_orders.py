"""What plans give over several orders of a query's samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from predictors.untrained import Untrained
from router.configuration.build_plans import build_plans
from router.configuration.file import load
from training.plan_outcomes import PlanOutcomes, replay_plans

ROUTER = """
[backends.small]
kind = "recorded"
recording = "made"
[backends.large]
kind = "recorded"
recording = "made"
[[plans]]
name = "small"
stages = [{ backend = "small" }]
[[plans]]
name = "until"
stages = [{ backend = "small", max_samples = 4, stop = { kind = "window", size = 2 } }]
"""
DRAWS = 4


@pytest.fixture(scope="module")
def played(record, tmp_path_factory: pytest.TempPathFactory):
    folder: Path = tmp_path_factory.mktemp("orders")
    made = record(folder / "made", 40, draws=DRAWS)
    (folder / "router.toml").write_text(ROUTER)
    config = load(folder / "router.toml")
    ids = [one.query_id for one in made.queries]
    plans = list(build_plans(config).values())

    def run(orders: int) -> PlanOutcomes:
        return replay_plans(config, made, ids, plans, Untrained(), orders)

    rewards = np.array([made.columns.reward[made.rows(place, "small")] for place in range(len(ids))])
    return run, rewards


def test_over_many_orders_one_sample_gives_the_mean_of_all(played) -> None:
    run, rewards = played
    one, many = run(1), run(24)
    mixed = (rewards.mean(axis=1) > 0) & (rewards.mean(axis=1) < 1)
    assert mixed.sum() > 10
    assert set(np.unique(one.reward[:, 0])) <= {0.0, 1.0}
    near = np.abs(many.reward[:, 0] - rewards.mean(axis=1))
    assert near.mean() < 0.4 * np.abs(one.reward[:, 0] - rewards.mean(axis=1)).mean()
    assert (near[~mixed] == 0).all()


def test_samples_are_a_mean_too_and_the_same_again(played) -> None:
    run, _ = played
    many = run(6)
    drawn = many.samples[:, 1]
    assert (np.unique(run(1).samples) % 1 == 0).all()
    assert (drawn % 1 > 0).any()
    assert (drawn >= 2).all() and (drawn <= DRAWS).all()
    assert np.array_equal(many.reward, run(6).reward)
