"""The cost-quality hull and its figures, on cases that were computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from training.figures.hull import Hull, Single, cost_figures, equal_cost


def test_a_hull_leaves_out_what_lies_below_the_line_of_its_neighbours() -> None:
    hull = Hull.of([1, 2, 3], [0.2, 0.3, 0.8])
    assert hull.cost.tolist() == [1, 3]


def test_a_hull_never_falls() -> None:
    hull = Hull.of([1, 2, 3], [0.2, 0.8, 0.5])
    assert hull.cost.tolist() == [1, 2]
    assert hull.at(3) == 0.8


def test_of_two_points_at_one_cost_the_better_one_counts() -> None:
    assert Hull.of([1, 1, 2], [0.1, 0.4, 0.5]).accuracy.tolist() == [0.4, 0.5]


def test_a_hull_is_the_same_in_whatever_order_its_points_come() -> None:
    rng = np.random.default_rng(0)
    cost, accuracy = rng.random(30), rng.random(30)
    order = rng.permutation(30)
    one, other = Hull.of(cost, accuracy), Hull.of(cost[order], accuracy[order])
    assert one.cost.tolist() == other.cost.tolist()
    assert one.accuracy.tolist() == other.accuracy.tolist()


def test_every_point_lies_on_or_below_its_hull() -> None:
    rng = np.random.default_rng(1)
    cost, accuracy = rng.random(50), rng.random(50)
    hull = Hull.of(cost, accuracy)
    assert all(hull.at(x) >= y - 1e-12 for x, y in zip(cost, accuracy, strict=True))


def test_the_slopes_of_a_hull_fall() -> None:
    rng = np.random.default_rng(2)
    hull = Hull.of(rng.random(50), rng.random(50))
    slopes = np.diff(hull.accuracy) / np.diff(hull.cost)
    assert (np.diff(slopes) < 0).all()


def test_between_two_corners_a_policy_may_mix() -> None:
    assert Hull.of([1, 3], [0.4, 0.8]).at(2) == pytest.approx(0.6)


def test_below_its_cheapest_point_a_hull_has_no_accuracy() -> None:
    assert math.isnan(Hull.of([2, 3], [0.4, 0.8]).at(1))


def test_aiq_of_a_straight_line_is_its_middle() -> None:
    found = cost_figures([(1, 0.4), (3, 0.8)], Single(0.4, 1), Single(0.8, 3))
    assert found["aiq"] == pytest.approx(0.6)


def test_aiq_of_two_segments() -> None:
    # .4 to .8 over [1, 2], then .8: areas .6 and .8, over a range of 2
    found = cost_figures([(1, 0.4), (2, 0.8)], Single(0.4, 1), Single(0.8, 3))
    assert found["aiq"] == pytest.approx(0.7)


def test_quality_drop_is_what_is_lost_of_the_best_at_a_cost_cut() -> None:
    # at 60 % of a cost of 10 the line from (2, .4) to (10, .8) is at .6: a quarter of .8 is lost
    found = cost_figures([(2, 0.4), (10, 0.8)], Single(0.4, 2), Single(0.8, 10))
    assert found["quality_drop@40"] == pytest.approx(25.0)


def test_quality_drop_beyond_the_cheapest_point_has_no_value() -> None:
    found = cost_figures([(5, 0.4), (10, 0.8)], Single(0.4, 5), Single(0.8, 10))
    assert math.isnan(found["quality_drop@60"])


def test_cost_at_quality_is_in_percent_of_the_bests_cost() -> None:
    # .95 * .8 = .76 is nine tenths of the way from .4 to .8, so at 2 + .9 * 8 = 9.2 of 10
    found = cost_figures([(2, 0.4), (10, 0.8)], Single(0.4, 2), Single(0.8, 10))
    assert found["cost_at_quality@95"] == pytest.approx(92.0)


def test_a_policy_that_never_gets_there_has_no_cost_at_quality() -> None:
    found = cost_figures([(2, 0.4), (10, 0.7)], Single(0.4, 2), Single(0.8, 10))
    assert math.isnan(found["cost_at_quality@100"])


def test_of_a_best_that_gets_nothing_right_no_share_is_told() -> None:
    found = cost_figures([(2, 0.0), (10, 0.0)], Single(0.0, 2), Single(0.0, 10))
    assert math.isnan(found["quality_drop@40"]) and math.isnan(found["cost_at_quality@95"])
    assert found["aiq"] == 0.0


def test_gain_at_the_bests_cost_is_in_points() -> None:
    found = cost_figures([(2, 0.4), (8, 0.83)], Single(0.4, 2), Single(0.8, 10))
    assert found["gain_at_cost@100"] == pytest.approx(3.0)


@pytest.mark.parametrize(("cheapest", "expected"), [(1, 5), (7, 7)])
def test_equal_cost_is_half_of_the_best_or_the_cheapest_if_that_is_more(
    cheapest: float, expected: float
) -> None:
    assert equal_cost(Single(0.4, cheapest), Single(0.8, 10)) == expected
