"""The promotion gate against known truth, in short; `make gate-proof` is the long form."""

from __future__ import annotations

import numpy as np
import pytest

from training.off_policy.gate import Terms
from training.suites.ope.candidates import BAD, better, diluted, equal, named, worth
from training.suites.ope.proof import bad_candidates, table, try_bad, try_better, try_nights

FEW = Terms(shuffles=4)


def test_bad_candidates_are_bad_in_truth_and_half_of_them_hardly(house):
    found = bad_candidates(house, 16, seed=0)
    assert {one.kind for one in found} == set(BAD)
    assert all(one.gain < -0.009 for one in found)
    assert sum(one.gain > -0.025 for one in found) >= 8


def test_no_bad_candidate_is_promoted(house):
    found = try_bad(house, 12, FEW, seed=1)
    assert [one.kind for one in found if one.promoted] == []
    assert max(abs(one.predicted - one.gain) for one in found) < 3  # points: it sees how bad they are


def test_candidates_that_gain_three_standard_errors_are_promoted(house):
    found = try_better(house, 5, FEW, seed=1)
    assert all(one.errors_above > 2.5 for one in found)
    assert sum(one.promoted for one in found) >= 4


def test_equal_candidates_are_not_promoted_night_after_night(house):
    found = try_nights(house, 12, FEW, seed=1)
    assert not any(one.promoted for one in found)
    assert table(house, [], [], found).splitlines()[-1].split()[:4] == ["equal,", "nightly", "12", "0"]


def test_an_equal_candidate_is_another_policy_of_the_same_worth(house):
    for seed in range(5):
        choice = equal(house, np.random.default_rng(seed))
        assert (choice != house.target).mean() > 0.2
        assert abs(worth(house, choice) - worth(house, house.target)) < 0.002


def test_a_diluted_candidate_gains_what_it_was_asked_to(house):
    rng = np.random.default_rng(0)
    found = named(house, "better", diluted(house, better(house), 0.02, rng))
    assert found.gain == pytest.approx(0.02, abs=0.003)
    assert worth(house, better(house)) > worth(house, house.target) + 0.05
