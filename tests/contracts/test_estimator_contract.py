"""What every estimator in the table keeps to."""

from __future__ import annotations

import numpy as np
import pytest

from router.plugins import resolve
from training.off_policy import ESTIMATORS, Estimator
from training.off_policy.logged import Floats, LoggedRows
from training.off_policy.reward_model import Fits


@pytest.fixture(params=sorted(ESTIMATORS))
def estimator(request: pytest.FixtureRequest) -> Estimator:
    built: Estimator = resolve("estimator", ESTIMATORS, request.param)()
    return built


@pytest.fixture
def logged() -> LoggedRows:
    rng = np.random.default_rng(3)
    n = 400
    p = rng.dirichlet(np.ones(3), n) * 0.7 + 0.1
    return LoggedRows(
        actions=("a", "b", "c"),
        plans=("small", "large", "vote"),
        features=rng.normal(size=(n, 4)),
        probabilities=p,
        action=(rng.random(n)[:, None] > p.cumsum(axis=1)).sum(axis=1),
        reward=rng.random(n),
        cost=rng.random(n),
        latency=rng.random(n),
        time=np.arange(n, dtype=np.float64),
        tenant=np.full(n, ""),
        task=np.full(n, ""),
        cluster=-1 - np.arange(n),
    )


def scores(estimator: Estimator, logged: LoggedRows, outcome: Floats, target: Floats) -> Floats:
    return estimator.scores(logged, outcome, target, Fits(logged, outcome))


def test_it_is_frozen_and_needs_no_arguments(estimator):
    assert isinstance(estimator, Estimator)
    assert type(estimator).__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert type(estimator)() == estimator


def test_scores_are_one_finite_number_per_row_and_equal_for_equal_rows(estimator, logged):
    target = np.tile([0.2, 0.3, 0.5], (len(logged), 1))
    found = scores(estimator, logged, logged.reward, target)
    assert found.shape == (len(logged),)
    assert np.isfinite(found).all()
    assert np.array_equal(found, scores(estimator, logged, logged.reward, target))


def test_the_logging_policy_itself_is_worth_its_mean_reward(estimator, logged):
    found = scores(estimator, logged, logged.reward, logged.probabilities)
    assert found.mean() == pytest.approx(logged.reward.mean(), abs=0.02)


def test_a_reward_that_never_changes_is_found_by_whoever_looks_at_where_the_policy_goes(estimator, logged):
    target = np.tile([0.2, 0.3, 0.5], (len(logged), 1))
    found = scores(estimator, logged, np.full(len(logged), 0.7), target)
    assert found.mean() == pytest.approx(0.7, abs=0.12)  # weights alone: but for the chance in their sum


def test_dollars_are_as_good_as_rewards(estimator, logged):
    target = np.tile([0.2, 0.3, 0.5], (len(logged), 1))
    dear = scores(estimator, logged, 1000 * logged.cost, target)
    assert dear.mean() == pytest.approx(
        1000 * scores(estimator, logged, logged.cost, target).mean(), rel=1e-9
    )


def test_rows_are_not_changed(estimator, logged):
    target = np.tile([0.2, 0.3, 0.5], (len(logged), 1))
    before = target.copy(), logged.probabilities.copy(), logged.features.copy()
    scores(estimator, logged, logged.reward, target)
    assert all(
        np.array_equal(*pair)
        for pair in zip(before, (target, logged.probabilities, logged.features), strict=True)
    )
