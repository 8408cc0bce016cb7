"""What a look is worth, on queries whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from training.worth_of_looking import PARTS, worth_of_looking

RNG = np.random.default_rng(7)
N = 20_000
OWN = RNG.uniform(0.05, 0.95, N)  # P(the answer is right), known before it is there
BEST = RNG.uniform(-0.2, 0.9, N)  # utility of going on
RIGHT = RNG.random(N) < OWN
PART = RNG.integers(PARTS, size=N)
CLEAR = np.where(RIGHT, 1.0, np.maximum(BEST, 0.0))  # the look says whether the answer is right
BLIND = np.where(OWN >= BEST, RIGHT.astype(float), BEST)  # it says nothing


@pytest.mark.parametrize(
    ("gave", "truth"),
    [(CLEAR, OWN + (1 - OWN) * np.maximum(BEST, 0.0)), (BLIND, np.maximum(OWN, BEST))],
    ids=["a look that tells all", "a look that tells nothing"],
)
def test_the_worth_of_a_look_is_found_between_its_bounds(gave: np.ndarray, truth: np.ndarray) -> None:
    test = np.arange(N) >= N // 2
    found = worth_of_looking(OWN, BEST, np.where(test, np.nan, gave), PART)
    for some in (test, ~test):
        assert np.abs(found - truth)[some].mean() < 0.01
    assert np.abs(OWN + (1 - OWN) * np.maximum(BEST, 0.0) - np.maximum(OWN, BEST)).mean() > 0.05


def test_a_query_is_left_out_of_the_regression_that_tells_of_it() -> None:
    few = slice(0, 60)
    gave = CLEAR[few].copy()
    before = worth_of_looking(OWN[few], BEST[few], gave, PART[few])
    gave[0] += 5.0
    after = worth_of_looking(OWN[few], BEST[few], gave, PART[few])
    same = PART[few] == PART[0]
    np.testing.assert_array_equal(after[same], before[same])
    assert (after[~same] != before[~same]).all()
