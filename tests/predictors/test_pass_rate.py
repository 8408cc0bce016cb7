from __future__ import annotations

import numpy as np
import pytest

from predictors.pass_rate import Beta, any_right, correlation, pass_rate, posterior

TRUE = Beta(0.6, 1.4)
M1 = TRUE.mean
M2 = TRUE.a * (TRUE.a + 1) / (2.0 * 3.0)  # E[p^2] of a Beta with a + b = 2


def test_two_moments_give_back_the_distribution_they_came_from():
    assert pass_rate(M1, M2) == pytest.approx(TRUE)


def test_at_least_one_of_eight_is_702_where_the_naive_formula_says_942():
    assert any_right(pass_rate(M1, M2), 8) == pytest.approx(0.702, abs=0.001)
    assert pytest.approx(0.942, abs=0.001) == 1 - (1 - M1) ** 8


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_the_formula_agrees_with_simulation(n):
    rng = np.random.default_rng(0)
    right = rng.binomial(n, rng.beta(*TRUE, 400_000))
    assert any_right(TRUE, n) == pytest.approx((right > 0).mean(), abs=0.003)


def test_one_sample_is_right_as_often_as_m1_says():
    assert any_right(pass_rate(0.37, 0.2), 1) == pytest.approx(0.37)


def test_a_wrong_sample_lowers_and_a_right_one_raises_the_next():
    prior = pass_rate(0.5, 0.35)
    assert posterior(prior, 0, 1).mean < prior.mean < posterior(prior, 1, 0).mean


def test_the_posterior_is_the_one_that_simulation_finds():
    rng = np.random.default_rng(1)
    rates = rng.beta(*TRUE, 400_000)
    right = rng.binomial(3, rates)
    assert posterior(TRUE, 1, 2).mean == pytest.approx(rates[right == 1].mean(), abs=0.003)


@pytest.mark.parametrize(("m1", "m2"), [(0.0, 0.0), (1.0, 1.0), (0.5, 0.0), (0.5, 1.0), (1e-9, 0.5)])
def test_impossible_moments_are_brought_back_to_a_distribution(m1, m2):
    rate = pass_rate(m1, m2)
    assert rate.a > 0
    assert rate.b > 0
    assert 0 <= any_right(rate, 16) <= 1
    assert 0.001 <= correlation(m1, m2) <= 0.999
