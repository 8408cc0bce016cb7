"""Drift is told where the world changed, and not where it did not."""

from __future__ import annotations

import numpy as np
import pytest

from predictors.calibration import Curve
from training.drift.backend_rewards import change_of
from training.drift.calibration import calibration_drift
from training.drift.inputs import input_drift
from training.drift.recalibrated import _after


def world(seed: int, n: int = 400, step: float = 0.0, at: float = 0.5):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 5))
    p = np.clip(0.5 + 0.15 * x[:, 0] + step * (np.arange(n) >= at * n), 0, 1)
    return np.arange(n, dtype=float), (rng.random(n) < p).astype(float), x


def test_a_backend_that_got_worse_is_told_with_the_moment():
    time, reward, x = world(1, step=-0.35)
    found = change_of("small", time, reward, x, level=0.001)
    assert found is not None
    assert 170 <= found.at <= 230
    assert found.after - found.before < -0.2


def test_backends_that_do_not_change_are_called_changed_as_seldom_as_promised():
    told = sum(change_of("b", *world(seed, n=120), level=0.02) is not None for seed in range(100))
    assert told <= 7  # 2 expected; 8 or more in 1 of 1,000


def test_a_small_step_is_no_change_however_certain():
    rng = np.random.default_rng(2)
    reward = np.concatenate([np.full(300, 0.50), np.full(300, 0.55)]) + rng.normal(0, 0.001, 600)
    assert change_of("b", np.arange(600.0), reward, np.zeros((600, 1)), level=0.001) is None


def test_features_that_move_are_named_the_most_first():
    rng = np.random.default_rng(3)
    before, after = rng.normal(size=(300, 4)), rng.normal(size=(200, 4))
    assert input_drift(before, after, level=0.001) == ()
    after[:, 2] += 1.0
    after[:, 1] += 3.0
    assert [one.feature for one in input_drift(before, after, level=0.001)] == [1, 2]


def test_a_plan_that_earns_less_than_expected_is_told():
    rng = np.random.default_rng(4)
    plan = np.array(["a", "b"] * 200, dtype=object)
    expected = np.full(400, 0.6)
    reward = (rng.random(400) < np.where(plan == "a", 0.6, 0.3)).astype(float)
    found = calibration_drift(plan, expected, reward, level=0.001)
    assert [one.plan for one in found] == ["b"]
    assert found[0].earned == pytest.approx(0.3, abs=0.1)


def test_a_recalibrated_curve_says_what_is_earned_and_keeps_the_order():
    rng = np.random.default_rng(5)
    raw = rng.random(2000)
    old = Curve(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    earned = (rng.random(2000) < 0.5 * raw).astype(float)
    mended = _after(old, (old(raw), earned))
    assert np.abs(mended(raw) - 0.5 * raw).mean() < 0.03
    assert (np.diff(mended.values) >= 0).all()


def test_few_rows_leave_a_curve_as_it_is():
    old = Curve(np.array([0.0, 1.0]), np.array([0.1, 0.9]))
    assert _after(old, (np.full(10, 0.5), np.zeros(10))) is old
