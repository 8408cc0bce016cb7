"""Rewards of backends from probabilities and gains."""

from __future__ import annotations

import pytest

from predictors.backend_rewards import expected_rewards, gain_rows

PAIRS = ((1, 0), (2, 0), (2, 1))


def test_gains_are_those_of_the_heads_in_both_directions():
    gains = gain_rows([0.2, 0.5, 0.1], PAIRS, [0.0, 0.0, 0.0])
    assert gains == [[0.0, -0.2, -0.5], [0.2, 0.0, -0.1], [0.5, 0.1, 0.0]]


def test_without_gain_heads_gains_are_differences():
    right = [0.2, 0.5, 0.9]
    gains = gain_rows([], (), right)
    assert gains[2][0] == pytest.approx(0.7)
    assert expected_rewards(right, gains) == pytest.approx(right)


def test_two_backends_differ_by_the_mean_of_both_differences():
    gains = gain_rows([0.4], PAIRS[:1], [0.0, 0.0])
    small, large = expected_rewards([0.3, 0.5], gains)
    assert large - small == pytest.approx(0.3)
    assert large + small == pytest.approx(0.8)


def test_a_reward_stays_between_0_and_1():
    gains = gain_rows([1.0], PAIRS[:1], [0.0, 0.0])
    assert expected_rewards([0.0, 0.0], gains) == [0.0, 0.25]
    assert expected_rewards([1.0, 1.0], gains) == [0.75, 1.0]


def test_gains_that_have_both_ways_in_them_are_the_differences():
    gains = gain_rows([0.4], PAIRS[:1], [0.0, 0.0])
    small, large = expected_rewards([0.3, 0.5], gains, share=1.0)
    assert large - small == pytest.approx(0.4)
    assert large + small == pytest.approx(0.8)
