"""APGR and CPT on cases that were computed by hand, falling curves among them."""

from __future__ import annotations

import numpy as np
import pytest

from training.figures.share_curve import ShareCurve


def test_mixing_by_chance_recovers_half() -> None:
    points = [(share, 0.4 + 0.4 * share) for share in np.linspace(0, 1, 41)]
    assert ShareCurve.of(points, 0.4, 0.8).area() == pytest.approx(0.5)


def test_without_points_the_ends_are_a_diagonal() -> None:
    assert ShareCurve.of([], 0.4, 0.8).area() == pytest.approx(0.5)


def test_the_area_of_one_point() -> None:
    # (0, 0), (.5, 1), (1, 1): .25 + .5
    assert ShareCurve.of([(0.5, 0.8)], 0.4, 0.8).area() == pytest.approx(0.75)


def test_a_router_may_recover_more_than_the_whole_advantage() -> None:
    # (0, 0), (.5, 1.5), (1, 1): .375 + .625
    assert ShareCurve.of([(0.5, 1.0)], 0.4, 0.8).area() == pytest.approx(1.0)


def test_the_order_of_the_points_does_not_matter() -> None:
    one = ShareCurve.of([(0.2, 0.6), (0.6, 0.7)], 0.4, 0.8)
    other = ShareCurve.of([(0.6, 0.7), (0.2, 0.6)], 0.4, 0.8)
    assert one.area() == other.area()


def test_cpt_lies_on_the_line_between_two_points() -> None:
    # recovered 0 at 0 and 1 at .4: half of it at .2
    assert ShareCurve.of([(0.4, 0.8)], 0.4, 0.8).first_reaching(0.5) == pytest.approx(20.0)


def test_cpt_of_a_curve_that_falls_is_where_it_is_first_reached() -> None:
    # recovered: 0, .6 at .2, .1 at .5, 1 at .9 — sorting by accuracy would put .5 near .77 or mix the branches
    points = [(0.2, 0.64), (0.5, 0.44), (0.9, 0.8)]
    assert ShareCurve.of(points, 0.4, 0.8).first_reaching(0.5) == pytest.approx(100 * 0.2 * 0.5 / 0.6)


def test_the_area_of_a_curve_that_falls_counts_every_segment() -> None:
    points = [(0.2, 0.64), (0.5, 0.44), (0.9, 0.8)]
    by_hand = 0.2 * 0.3 + 0.3 * 0.35 + 0.4 * 0.55 + 0.1 * 1.0
    assert ShareCurve.of(points, 0.4, 0.8).area() == pytest.approx(by_hand)


def test_a_level_that_only_the_end_reaches_costs_every_call() -> None:
    assert ShareCurve.of([(0.9, 0.4)], 0.4, 0.8).first_reaching(1.0) == pytest.approx(100.0)
