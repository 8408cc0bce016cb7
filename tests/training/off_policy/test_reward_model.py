"""The reward model: it has not seen the row, shares what plans have in common, and reads a long log in parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from training.off_policy import reward_model
from training.off_policy.logged import LoggedRows
from training.off_policy.reward_model import RewardModel


def linear(rows: Callable[..., LoggedRows], n: int = 600, seed: int = 0, **given: Any) -> LoggedRows:
    """Two plans whose rewards follow the first feature, the second .2 higher."""
    rng = np.random.default_rng(seed)
    x, action = rng.normal(size=(n, 3)), rng.integers(0, 2, n)
    reward = np.clip(0.4 + 0.1 * x[:, 0] + 0.2 * action, 0, 1)
    return rows(n, features=x, action=action, **({"reward": reward} | given))


def test_what_is_linear_is_found(rows):
    logged = linear(rows)
    truth = 0.4 + 0.1 * logged.features[:, :1] + [0.0, 0.2]
    inside = np.abs(logged.features[:, 0]) < 2
    assert np.abs(RewardModel().predict(logged, logged.reward) - truth)[inside].max() < 0.01


def test_a_rows_own_outcome_does_not_move_its_prediction(rows):
    logged = linear(rows)
    before = RewardModel(penalties=(3.0,)).predict(logged, logged.reward)[7]
    changed = logged.reward.copy()
    changed[7] = 1 - changed[7]
    # outcomes are centred by all rows; the level is hardly shrunk
    centre = changed.mean() - logged.reward.mean()
    after = RewardModel(penalties=(3.0,)).predict(logged, changed)[7]
    assert after == pytest.approx(before, abs=2 * abs(centre))


def test_a_plan_that_was_never_drawn_gets_what_is_shared(rows):
    logged = linear(rows).offering({"new": "plan-new"})
    predicted = RewardModel().predict(logged, logged.reward)
    shared = 0.5 + 0.1 * logged.features[:, 0]
    inside = np.abs(logged.features[:, 0]) < 2
    assert np.abs(predicted[:, 2] - shared)[inside].mean() < 0.03  # the plans' own levels are no part of it


def test_digests_of_one_plan_share_a_model(rows):
    logged = linear(rows).offering({"again": "plan-1"})
    predicted = RewardModel().predict(logged, logged.reward)
    assert np.array_equal(predicted[:, 2], predicted[:, 1])


def test_nonsense_is_shrunk_to_the_mean(rows):
    noise = np.random.default_rng(1).integers(0, 2, 600).astype(float)
    logged = linear(rows, reward=noise)
    predicted = RewardModel().predict(logged, noise)
    assert np.abs(predicted - noise.mean()).mean() < 0.05


def test_a_plan_is_learned_where_it_is_seldom_drawn(rows):
    """Usual on one side, where its reward is flat; asked about on the other, where a line from there would be wrong."""
    rng = np.random.default_rng(0)
    n, errors = 4000, {}
    x = rng.normal(size=(n, 1))
    p = np.where(x > 0, 0.95, 0.05) @ [[0.0, 1.0]] + np.where(x > 0, 0.05, 0.95) @ [[1.0, 0.0]]
    action = (rng.random(n) < p[:, 1]).astype(np.int64)
    chance = np.where(x[:, 0] > 0, 0.5, 0.9)
    reward = np.where(action == 1, (rng.random(n) < chance).astype(float), 0.5)
    logged = rows(n, features=np.hstack([x, x**2]), probabilities=p, action=action, reward=reward)
    away = x[:, 0] < -0.5
    for power in (0.0, 0.5):
        model = RewardModel(fit_power=power, choice_power=2 * power)
        errors[power] = np.mean((model.predict(logged, reward)[away, 1] - 0.9) ** 2)
    assert errors[0.5] < 0.75 * errors[0.0]


def test_a_long_log_is_read_in_parts_with_the_same_result(rows, monkeypatch):
    logged = linear(rows)
    at_once = RewardModel().predict(logged, logged.reward)
    monkeypatch.setattr(reward_model, "BLOCK", 100)
    assert RewardModel().predict(logged, logged.reward) == pytest.approx(at_once, abs=1e-12)


def test_no_rows_and_a_constant_feature_are_no_error(rows):
    assert RewardModel().predict(rows(0), np.zeros(0)).shape == (0, 2)
    assert RewardModel().predict(rows(60), np.ones(60)) == pytest.approx(1.0)
