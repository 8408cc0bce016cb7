from __future__ import annotations

import numpy as np
import pytest

from predictors.pass_rate import Beta, correlation, pass_rate, posterior

TRUE = Beta(0.6, 1.4)
M1 = TRUE.mean
M2 = TRUE.a * (TRUE.a + 1) / (2.0 * 3.0)  # E[p^2] of a Beta with a + b = 2


def test_two_moments_give_back_the_distribution_they_came_from():
    assert pass_rate(M1, M2) == pytest.approx(TRUE)


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
    assert 0.001 <= correlation(m1, m2) <= 0.999
