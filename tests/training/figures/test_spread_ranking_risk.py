"""Intervals, AUROC and thresholds with a guarantee."""

from __future__ import annotations

import math

import numpy as np
import pytest

from predictors.risk_curve import losses_allowed, upper_bound
from training.figures.ranking import auroc
from training.figures.risk import losses_kept, over_halves, threshold
from training.figures.spread import spread


def test_mean_sd_and_interval_by_hand() -> None:
    found = spread([[1.0, 2.0, 3.0, 4.0, 5.0]])
    assert found is not None
    assert found.mean == 3.0
    assert found.sd == pytest.approx(math.sqrt(2.5))
    assert found.hi - found.mean == pytest.approx(2.776445 * math.sqrt(2.5) / math.sqrt(5), rel=1e-6)


def test_a_fold_without_a_value_is_left_out() -> None:
    found = spread([[1.0, float("nan"), 3.0]])
    assert found is not None
    assert found.mean == 2.0


def test_no_value_is_no_figure() -> None:
    assert spread([[float("nan")]]) is None


def test_more_seeds_over_the_same_queries_do_not_narrow_the_interval() -> None:
    one, many = spread([[1.0, 2.0, 3.0]]), spread([[1.0, 2.0, 3.0]] * 9)
    assert one is not None and many is not None
    assert many.hi - many.lo > 0.8 * (one.hi - one.lo)


def test_the_interval_of_normal_values_holds_their_mean_95_times_in_100() -> None:
    rng = np.random.default_rng(0)
    drawn = [spread([rng.normal(7.0, 2.0, 5).tolist()]) for _ in range(2000)]
    held = np.mean([one is not None and one.lo <= 7.0 <= one.hi for one in drawn])
    assert 0.94 <= held <= 0.96


@pytest.mark.parametrize(
    ("score", "positive", "expected"),
    [([1, 2, 3, 4], [0, 0, 1, 1], 1.0), ([4, 3, 2, 1], [0, 0, 1, 1], 0.0), ([1, 1, 1, 1], [0, 1, 0, 1], 0.5),
     ([1, 2, 2, 3], [0, 0, 1, 1], 0.875)],
)  # fmt: skip
def test_auroc_by_hand(score: list[float], positive: list[int], expected: float) -> None:
    assert auroc(np.array(score, float), np.array(positive, bool)) == pytest.approx(expected)


def test_auroc_of_one_kind_has_no_value() -> None:
    assert math.isnan(auroc(np.arange(3.0), np.ones(3, bool)))


def test_the_upper_bound_is_exact() -> None:
    # no loss among n: 1 - eta ** (1 / n)
    assert upper_bound(0, 50, 0.1) == pytest.approx(1 - 0.1 ** (1 / 50))


def test_as_many_losses_are_allowed_as_the_bound_permits() -> None:
    allowed = losses_allowed(1000, 0.05, 0.035)
    assert upper_bound(allowed, 1000, 0.035) <= 0.05 < upper_bound(allowed + 1, 1000, 0.035)


def test_with_too_few_rows_nothing_may_be_lost() -> None:
    assert losses_allowed(20, 0.05, 0.035) == -1


def test_the_threshold_is_the_last_score_before_a_loss_too_many() -> None:
    score, loss = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0, 1, 0, 1], bool)
    assert threshold(score, loss, 1) == 0.3


def test_equal_scores_stay_together() -> None:
    score, loss = np.array([0.1, 0.2, 0.2, 0.4]), np.array([0, 0, 1, 0], bool)
    assert threshold(score, loss, 0) == 0.1


def test_the_promised_risk_holds_on_the_other_half_in_nine_of_ten_splits() -> None:
    rng = np.random.default_rng(3)
    p = rng.beta(1, 2, 4000)
    loss = rng.random(4000) < p * 0.6
    found = over_halves(p, loss, 0.05, seed=0)
    assert found.splits_over_risk <= 0.10
    assert found.kept_of_best >= 0.6


def test_the_other_half_is_over_the_risk_in_one_of_twenty_whatever_the_scores_are() -> None:
    rng = np.random.default_rng(5)
    n, risk = 600, 0.05
    allowed = losses_kept(n, n, risk)
    over = []
    for _ in range(2000):  # new data each time: halves of one data set resemble each other
        score = rng.random(2 * n)
        loss = rng.random(2 * n) < 0.5 * score
        cut = threshold(score[:n], loss[:n], allowed)
        over.append(((score[n:] <= cut) & loss[n:]).sum() > risk * n)
    assert 0.02 <= np.mean(over) <= 0.06


def test_a_threshold_without_its_bound_would_break_the_promise() -> None:
    rng = np.random.default_rng(3)
    p = rng.beta(1, 2, 4000)
    loss = rng.random(4000) < p * 0.6
    assert over_halves(p, loss, 0.05, seed=0, eta=0.5, tail=1.0).splits_over_risk > 0.3
