"""Draws that can be repeated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictors.observation import Query, Sampling
from router.first_decision.draw import draw_key, pick, stage_seed, unit


def test_units_are_uniform_over_keys():
    values = np.array([unit(0, "plan", str(key)) for key in range(20_000)])
    shares = np.histogram(values, bins=10, range=(0, 1))[0] / len(values)
    assert np.abs(shares - 0.1).max() < 4 * np.sqrt(0.1 * 0.9 / len(values))


def test_another_seed_or_purpose_is_another_number():
    assert len({unit(0, "plan", "r"), unit(1, "plan", "r"), unit(0, "mode", "r")}) == 3


def test_a_unit_is_the_same_on_every_machine():
    assert unit(7, "plan", "request:r") == 0.31776671800669143


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=8).filter(lambda shares: sum(shares) > 0),
    st.floats(0, 1, exclude_max=True),
)
def test_a_pick_never_has_probability_zero(weights, u):
    total = sum(weights)
    shares = [weight / total for weight in weights]
    assert shares[pick(shares, u)] > 0.0


def test_picks_are_as_frequent_as_their_probabilities():
    shares = [0.2, 0.0, 0.5, 0.3]
    picks = [pick(shares, unit(3, "plan", str(key))) for key in range(20_000)]
    for index, share in enumerate(shares):
        assert picks.count(index) / len(picks) == pytest.approx(share, abs=0.012)


def test_a_session_has_one_key_for_all_its_requests():
    first, second = Query("a", (), session_id="s"), Query("b", (), session_id="s")
    assert draw_key(first) == draw_key(second) != draw_key(Query("a", ()))


def test_the_callers_seed_comes_before_the_services():
    own = Sampling(seed=5)
    assert stage_seed(0, Query("a", (), sampling=own), 0) == stage_seed(9, Query("b", (), sampling=own), 0)
    assert stage_seed(0, Query("a", ()), 0) != stage_seed(0, Query("b", ()), 0)
    assert stage_seed(0, Query("a", ()), 0) != stage_seed(0, Query("a", ()), 1)
