"""Rewards of backends from probabilities and gains."""

from __future__ import annotations

import numpy as np
import pytest

from predictors.backend_rewards import expected_rewards, gain_matrix

NAMES = ("a", "b", "c")
PAIRS = (("b", "a"), ("c", "a"), ("c", "b"))


def test_gains_are_those_of_the_heads_in_both_directions():
    gains = gain_matrix(np.array([0.2, 0.5, 0.1]), NAMES, PAIRS, np.zeros(3))
    assert gains[1, 0] == 0.2
    assert gains[0, 2] == -0.5
    assert (gains == -gains.T).all()


def test_without_gain_heads_gains_are_differences():
    right = np.array([0.2, 0.5, 0.9])
    gains = gain_matrix(np.zeros(0), NAMES, (), right)
    assert gains[2, 0] == pytest.approx(0.7)
    np.testing.assert_allclose(expected_rewards(right, gains), right)


def test_two_backends_differ_by_the_mean_of_both_differences():
    gains = gain_matrix(np.array([0.4]), NAMES[:2], PAIRS[:1], np.zeros(2))
    small, large = expected_rewards(np.array([0.3, 0.5]), gains)
    assert large - small == pytest.approx(0.3)
    assert large + small == pytest.approx(0.8)


def test_a_reward_stays_between_0_and_1():
    gains = gain_matrix(np.array([1.0]), NAMES[:2], PAIRS[:1], np.zeros(2))
    assert list(expected_rewards(np.array([0.0, 0.0]), gains)) == [0.0, 0.25]
    assert list(expected_rewards(np.array([1.0, 1.0]), gains)) == [0.75, 1.0]
