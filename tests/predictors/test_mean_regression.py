"""The regression of means, against sums done by hand and against numbers that were drawn from it."""

from __future__ import annotations

import numpy as np
import pytest

from predictors.mean_regression import poisson_deviance, poisson_fit, poisson_mean


def test_two_groups_get_their_means():
    z = np.array([[0.0, 1.0]] * 3 + [[1.0, 1.0]] * 2)
    y = np.array([1.0, 2.0, 6.0, 10.0, 30.0])
    found = poisson_fit(z, y, np.ones(5), np.zeros(2), np.zeros(2), penalty=0.0)
    assert poisson_mean(z, found, 100.0)[[0, 3]] == pytest.approx([3.0, 20.0], rel=1e-4)


def test_weights_count_rows():
    z, y = np.ones((2, 1)), np.array([2.0, 10.0])
    found = poisson_fit(z, y, np.array([3.0, 1.0]), np.zeros(1), np.zeros(1), penalty=0.0)
    assert np.exp(found) == pytest.approx([4.0], rel=1e-4)


def test_belief_keeps_what_was_known_before():
    rng = np.random.default_rng(0)
    z = np.hstack([rng.normal(size=(400, 3)), np.ones((400, 1))])
    y = rng.poisson(np.exp(z @ np.array([0.3, -0.2, 0.1, 2.0]))).astype(float)
    known = np.array([-0.5, 0.5, 0.0, 2.0])
    free = poisson_fit(z, y, np.ones(400), known, known, penalty=1.0)
    bound = poisson_fit(z, y, np.ones(400), known, known, penalty=1e9)
    assert free[:3] == pytest.approx([0.3, -0.2, 0.1], abs=0.06)
    assert bound[:3] == pytest.approx(known[:3], abs=1e-4)


def test_a_wild_value_does_not_make_it_run_away():
    rng = np.random.default_rng(1)
    z = np.hstack([rng.normal(size=(300, 5)), np.ones((300, 1))])
    y = np.exp(3 + rng.normal(size=300))
    y[0] *= 1e4
    found = poisson_fit(z, y, np.ones(300), np.append(np.zeros(5), 3.0), np.zeros(6), penalty=30.0)
    assert np.isfinite(found).all()
    assert poisson_mean(z, found, 1e9).mean() == pytest.approx(y.mean(), rel=0.02)  # as the likelihood has it


def test_the_deviance_is_nothing_for_the_truth_and_the_same_by_hand():
    y = np.array([0.0, 2.0, 8.0])
    assert poisson_deviance(y, np.array([1e-12, 2.0, 8.0]), np.ones(3)) == pytest.approx(0.0, abs=1e-9)
    by_hand = 2 * ((0 + 1) + (2 * np.log(2 / 1) - 1) + 2 * (8 * np.log(8 / 4) - 4)) / 4
    assert poisson_deviance(y, np.array([1.0, 1.0, 4.0]), np.array([1.0, 1.0, 2.0])) == pytest.approx(by_hand)
