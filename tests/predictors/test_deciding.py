"""What decides besides heads: the plan table, the value of going on, and both as a bundle's file."""

from __future__ import annotations

import numpy as np
import pytest

from predictors.deciding import Deciding
from predictors.errors import BundleError
from predictors.hop_values import HopValues
from predictors.plan_table import EDGES, PlanTable
from predictors.risk_curve import RiskCurves
from predictors.typical_queries import TypicalQueries
from training.fit.hop import fit_hop_values

BACKENDS = ("small", "large")


def table() -> PlanTable:
    """Votes help hard queries and harm easy ones."""
    rng = np.random.default_rng(0)
    difficulty = rng.random(4000)
    alone = difficulty
    vote = np.where(difficulty < 0.5, difficulty + 0.2, difficulty - 0.1)
    reward = np.stack([alone, vote], axis=1)
    return PlanTable.of(("small", "vote"), difficulty, reward, np.stack([alone, alone], axis=1))


def test_a_bin_has_the_mean_of_its_queries_and_says_whether_more_helps() -> None:
    hard, easy = table().signals(0.25), table().signals(0.85)
    assert hard["table_quality/small"] == pytest.approx(0.25, abs=0.02)
    assert hard["table_quality/vote"] == pytest.approx(0.45, abs=0.02)
    assert hard["helps/vote"] == pytest.approx(0.2, abs=0.02)
    assert easy["helps/vote"] < 0
    assert easy["helps/small"] == 0.0


def test_a_bin_without_queries_has_the_mean_of_all() -> None:
    found = PlanTable.of(("p",), np.full(50, 0.55), np.full((50, 1), 0.3), np.full((50, 1), 0.2))
    assert found.reward.shape == (len(EDGES) + 1, 1)
    assert found.signals(0.05)["table_quality/p"] == pytest.approx(0.3)


def test_an_answer_that_looks_wrong_lowers_what_others_are_expected_to_give() -> None:
    rng = np.random.default_rng(1)
    hard = rng.random(3000) < 0.5  # what nobody can tell before the answer, and a look at it tells half
    right = np.where(hard, 0.2, 0.8)
    in_hand = np.clip(right + rng.normal(0, 0.2, 3000), 0, 1)
    quality = np.full((3000, 2), 0.5)
    reward = (rng.random((3000, 2)) < np.stack([right, right], axis=1)).astype(float)
    found = fit_hop_values(BACKENDS, 0, quality, in_hand[None], reward)
    low, high = found.going_on(np.array([[0.5, 0.5], [0.5, 0.5]]), np.array([0.2, 0.8]))[:, 1]
    assert low == pytest.approx(0.25, abs=0.1)
    assert high == pytest.approx(0.75, abs=0.1)


def test_where_the_answer_tells_nothing_nothing_is_corrected_much() -> None:
    rng = np.random.default_rng(2)
    quality = rng.random((2000, 2))
    reward = (rng.random((2000, 2)) < quality).astype(float)
    found = fit_hop_values(BACKENDS, 0, quality, rng.random((1, 2000)), reward)
    assert np.abs(found.going_on(quality, rng.random(2000))[:, 1] - quality[:, 1]).mean() < 0.02


def test_missing_rewards_are_left_out_of_the_fit() -> None:
    reward = np.full((50, 2), np.nan)
    found = fit_hop_values(BACKENDS, 0, np.full((50, 2), 0.5), np.full((1, 50), 0.5), reward)
    assert not found.coef.any()


def test_after_an_answer_the_other_backends_are_told_and_no_one_else() -> None:
    hops = (HopValues(BACKENDS, 0, np.zeros((2, 5))),)
    deciding = Deciding(hops=hops)
    assert deciding.after("small", {"p_correct/small": 0.3, "p_correct/large": 0.7}, 0.5) == {
        "going_on/large": 0.7
    }
    assert deciding.after("large", {"p_correct/small": 0.3, "p_correct/large": 0.7}, 0.5) == {}
    assert deciding.after("small", {}, 0.5) == {}


def test_all_parts_are_read_as_they_were_written() -> None:
    risks = RiskCurves.of(BACKENDS, {(0, 1): (np.linspace(0, 1, 50), np.zeros(50, bool))})
    hours = tuple([1 / 24] * 24)
    typical = TypicalQueries(
        ("p_correct/small",), np.array([[0.5], [0.6]]), np.array([10.0, 20.0]), hours, (9, 23)
    )
    made = Deciding(risks, (HopValues(BACKENDS, 1, np.ones((2, 5))),), table(), typical)
    again = Deciding.from_arrays(BACKENDS, made.arrays())
    assert again.table is not None and again.table.signals(0.3) == table().signals(0.3)
    assert again.hops[0].first == 1
    assert again.typical is not None and list(again.typical.signals()) == list(typical.signals())
    assert again.typical.hours == hours and again.typical.came == (9, 23)
    assert again.risks is not None
    assert Deciding.from_arrays(BACKENDS, {}).arrays() == {}


@pytest.mark.parametrize("part", ["hop0/coef", "table/reward", "typical/values", "typical/hours"])
def test_parts_that_do_not_fit_are_refused(part: str) -> None:
    hours = tuple([1 / 24] * 24)
    typical = TypicalQueries(("p_correct/small",), np.array([[0.5], [0.6]]), np.array([10.0, 20.0]), hours)
    arrays = Deciding(None, (HopValues(BACKENDS, 1, np.ones((2, 5))),), table(), typical).arrays()
    arrays[part] = arrays[part][:1]
    with pytest.raises(BundleError):
        Deciding.from_arrays(BACKENDS, arrays)


def test_a_bundle_from_before_queries_had_hours_knows_none() -> None:
    typical = TypicalQueries(("p_correct/small",), np.array([[0.5]]), np.array([10.0]), came=(3,))
    arrays = {name: value for name, value in typical.arrays().items() if name != "came"}
    assert TypicalQueries.from_arrays(arrays).came == ()


@pytest.mark.parametrize("came", [[3, 4], [24], [-1]])
def test_hours_that_no_day_has_are_refused(came: list[int]) -> None:
    arrays = TypicalQueries(("p_correct/small",), np.array([[0.5]]), np.array([10.0])).arrays()
    with pytest.raises(BundleError, match="came wants 1 hours below 24"):
        TypicalQueries.from_arrays(arrays | {"came": np.array(came)})


def test_what_going_on_is_worth_for_one_query_is_what_it_is_for_many():
    rng = np.random.default_rng(6)
    values = HopValues(("a", "b", "c"), 1, rng.normal(size=(3, 5)))
    quality, in_hand = rng.random((50, 3)), rng.random(50)
    quality[0, 2] = np.nan
    one_by_one = [
        values.after_one(row, hand) for row, hand in zip(quality.tolist(), in_hand.tolist(), strict=True)
    ]
    np.testing.assert_allclose(one_by_one, values.going_on(quality, in_hand), rtol=0, atol=1e-12)
