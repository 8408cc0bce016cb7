"""What is served row by row is what was fitted in blocks: the same numbers, to the last bit."""

from __future__ import annotations

import numpy as np

from predictors.calibration import Curve
from predictors.hashed import HashedRidge
from predictors.linear import Linear
from predictors.text_space import WIDTH, TextSpace


def test_a_curve_at_one_score_is_numpys_interpolation_to_the_last_bit():
    rng = np.random.default_rng(2)
    for size in (1, 2, 30):
        curve = Curve(np.sort(rng.random(size)), np.sort(rng.random(size)))
        scores = [-1.0, 0.0, 1.0, 2.0, *curve.scores.tolist(), *rng.random(500).tolist()]
        assert [curve.at(score) for score in scores] == [float(curve(score)) for score in scores]


def test_scores_of_a_text_are_the_rows_of_its_buckets_added_one_after_another():
    rng = np.random.default_rng(3)
    ridge = HashedRidge(np.abs(rng.normal(size=(4096, 5))).astype(np.float32), rng.normal(size=4))
    for count in (1, 7, 8, 9, 300, 900):
        buckets = np.sort(rng.permutation(4096)[:count])
        total = np.zeros(5)
        for bucket in buckets.tolist():
            total += ridge.table[bucket]
        assert (ridge.scores(buckets) == ridge.mean + total[:-1] / total[-1] ** 0.5).all()


def test_buckets_that_no_text_of_the_fit_had_do_not_move_a_text():
    rng = np.random.default_rng(4)
    vectors = rng.normal(size=(50, WIDTH)).astype(np.float32)
    vectors[0] = 0.0
    place = np.where(rng.random(1000) < 0.2, rng.integers(1, 50, 1000), 0).astype(np.int32)
    space = TextSpace(place, vectors)
    buckets = np.sort(rng.permutation(1000)[:300])
    known = buckets[place[buckets] != 0]
    assert (space.of(buckets) == space.of(known)).all()
    assert not space.of(np.flatnonzero(place == 0)).any()


def test_a_linear_row_is_what_many_rows_get_to_the_last_bit():
    rng = np.random.default_rng(5)
    for width in (1, 8, 105):
        x = rng.normal(scale=4.0, size=(200, width)).astype(np.float32)
        fitted = Linear(
            mean=rng.normal(size=width), scale=rng.random(width) * 9, coef=rng.normal(size=width + 1)
        )
        assert [fitted.row(row) for row in x] == fitted.predict(x).tolist()
        assert np.isnan(fitted.row(np.full(width, np.nan, np.float32)))
