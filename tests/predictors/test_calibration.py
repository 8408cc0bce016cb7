from __future__ import annotations

import numpy as np
import pytest

from predictors.calibration import (
    Curve,
    brier_skill,
    ece,
    ece_debiased,
    ece_floor,
    fit_curve,
    log_loss,
    pool_adjacent_violators,
)
from predictors.errors import BundleError, FitError

COUNT = 6000


def drawn(seed: int, bend):
    """Scores, labels drawn with the probability that `bend` makes of them, and folds."""
    rng = np.random.default_rng(seed)
    scores = rng.beta(2, 2, COUNT)
    return scores, (rng.random(COUNT) < bend(scores)).astype(float), rng.integers(0, 5, COUNT)


@pytest.mark.parametrize(
    "bend", [lambda s: s, lambda s: s**3, lambda s: 0.2 + 0.6 * (s > 0.5)], ids=["right", "bent", "step"]
)
def test_a_fitted_curve_recovers_the_true_probability(bend):
    scores, y, folds = drawn(0, bend)
    curve = fit_curve(scores, y, np.ones(COUNT), folds)
    fresh, labels, _ = drawn(1, bend)
    assert ece_debiased(curve(fresh), labels, np.random.default_rng(0)) < 0.02
    assert np.abs(curve(fresh) - bend(fresh)).mean() < 0.03


def test_a_curve_never_turns_the_order_of_scores_round():
    scores, y, folds = drawn(0, lambda s: 0.2 + 0.6 * (s > 0.5))
    values = fit_curve(scores, y, np.ones(COUNT), folds)(np.linspace(0, 1, 1001))
    assert (np.diff(values) >= 0).all()


def test_scores_that_are_right_in_the_middle_alone_are_not_turned_round_beyond_it():
    """Few rows: of beta calibration's two slopes one is below 0, and a curve of both would fall."""
    scores, y, folds = drawn(0, lambda s: 3.6 * s * (1 - s))
    values = fit_curve(scores[:400], y[:400], np.ones(400), folds[:400])(np.linspace(0, 1, 101))
    assert (np.diff(values) >= 0).all()


def test_a_row_of_weight_three_counts_as_three():
    scores, y, folds = drawn(0, lambda s: 0.2 + 0.4 * (s > 0.5))
    curve = fit_curve(scores, y, 1 + 2 * y, folds)
    assert curve(np.array([0.25, 0.75])) == pytest.approx([0.6 / 1.4, 1.8 / 2.2], abs=0.04)


def test_the_base_rate_of_weighted_rows_is_theirs():
    scores, y, folds = drawn(0, lambda s: 1 - s)
    weight = 1 + 2 * y
    found = float(fit_curve(scores[:400], y[:400], weight[:400], folds[:400])(0.5))
    assert found == pytest.approx(np.average(y[:400], weights=weight[:400]), abs=0.01)


def test_candidates_are_compared_on_the_rows_that_weigh():
    """Most rows say that the score is right; the few that weigh say that it is its cube."""
    scores, right, folds = drawn(0, lambda s: s)
    _, cubed, _ = drawn(0, lambda s: s**3)
    heavy = np.arange(450) % 4 == 0
    y = np.where(heavy, cubed[:450], right[:450])
    curve = fit_curve(scores[:450], y, np.where(heavy, 1.0, 0.01), folds[:450])
    assert float(curve(0.5)) == pytest.approx(0.5**3, abs=0.06)


def test_a_candidate_is_kept_for_what_it_says_of_rows_that_it_has_not_seen():
    """On its own rows the curve with most numbers is the best one; scores that are right are mostly kept as they are."""
    kept = 0
    for seed in range(40):
        scores, y, folds = drawn(seed, lambda s: s)
        kept += len(fit_curve(scores[:40], y[:40], np.ones(40), folds[:40]).scores) == 2
    assert kept > 20


def test_scores_that_point_the_wrong_way_give_the_base_rate():
    scores, y, folds = drawn(0, lambda s: 1 - s)
    values = fit_curve(scores[:400], y[:400], np.ones(400), folds[:400])(np.array([0.1, 0.9]))
    assert values[0] == values[1] == pytest.approx(y[:400].mean(), abs=0.01)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_alone_is_calibrated_without_a_warning(label):
    scores, _, folds = drawn(0, lambda s: s)
    values = fit_curve(scores, np.full(COUNT, label), np.ones(COUNT), folds)(scores)
    assert np.abs(values - label).mean() < 0.05


def test_nothing_and_nan_are_refused():
    with pytest.raises(FitError, match="0 rows"):
        fit_curve(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64))
    with pytest.raises(FitError, match="finite"):
        fit_curve(np.array([np.nan, 0.5]), np.ones(2), np.ones(2), np.arange(2))


def test_violators_are_pooled_to_their_weighted_mean():
    assert pool_adjacent_violators(
        np.array([0.1, 0.5, 0.3, 0.9]), np.array([1.0, 1, 3, 1])
    ).tolist() == pytest.approx([0.1, 0.35, 0.35, 0.9])


def test_ece_is_the_gap_where_predictions_are_all_off_by_as_much():
    y = np.tile([0.0, 1.0], 500)
    assert ece(np.full(1000, 0.8), y) == pytest.approx(0.3, abs=0.02)


def test_a_perfect_forecast_shows_on_average_just_the_floor():
    rng = np.random.default_rng(3)
    p = rng.random(500)
    raw = [ece(p, (rng.random(500) < p).astype(float)) for _ in range(200)]
    assert ece_floor(p, rng) == pytest.approx(np.mean(raw), abs=0.003)
    assert ece_floor(p, rng) > 0.03


def test_the_debiased_figure_keeps_what_is_above_the_floor():
    rng = np.random.default_rng(3)
    p = rng.uniform(0.2, 0.8, 20_000)
    y = (rng.random(20_000) < p - 0.1).astype(float)
    assert ece_debiased(p, y, rng) == pytest.approx(0.1, abs=0.015)


def test_brier_skill_is_one_for_the_truth_and_zero_for_the_base_rate():
    y = np.array([0.0, 1, 1, 1])
    assert brier_skill(y, y) == 1.0
    assert brier_skill(np.full(4, 0.75), y) == 0.0
    assert brier_skill(np.full(4, 0.25), y) < 0


def test_log_loss_of_a_coin_is_ln_2_and_stays_finite_for_certainty():
    assert log_loss(np.full(2, 0.5), np.array([0.0, 1])) == pytest.approx(np.log(2))
    assert np.isfinite(log_loss(np.array([0.0]), np.array([1.0])))


@pytest.mark.parametrize(
    ("scores", "values"),
    [
        ([0.1, 0.1], [0, 1]),
        ([0.1, 0.2], [1, 0]),
        ([0.1, 0.2], [0, 1.5]),
        ([], []),
        ([0.1, np.nan], [0, 1]),
        ([0.1], [0, 1]),
    ],
)
def test_knots_that_are_no_monotone_function_are_refused(scores, values):
    with pytest.raises(BundleError, match="calibration knots"):
        Curve.from_arrays({"scores": np.array(scores, dtype=float), "values": np.array(values, dtype=float)})


def test_the_curve_keeps_scores_in_order_up_to_its_ends():
    rng = np.random.default_rng(4)
    score = rng.random(4000)
    y = (rng.random(4000) < np.where(score > 0.5, 0.8, 0.1)).astype(float)  # a step, which isotonic fits best
    curve = fit_curve(score, y, np.ones(4000), np.arange(4000) % 5)
    assert (np.diff(curve(np.linspace(0.001, 0.999, 500))) > 0).all()
