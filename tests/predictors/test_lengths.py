"""What is expected of lengths, against known truth: means, quantiles, limits, and rows that a fit has seen."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from predictors.errors import BundleError
from predictors.length_fit import fit_lengths, uncensored_weights, weighted_quantile
from predictors.lengths import Lengths

Rows = NDArray[np.float32]
Floats = NDArray[np.float64]


def test_censored_lengths_are_made_up_for_by_longer_ones():
    rng = np.random.default_rng(0)
    true = rng.exponential(100.0, 20_000)
    limit = rng.uniform(20, 600, 20_000)  # callers' limits differ
    seen, cut = np.minimum(true, limit), true > limit
    weight = uncensored_weights(seen, cut)
    naive = seen[~cut].mean()
    assert naive < 85
    assert np.average(seen, weights=weight) == pytest.approx(100.0, rel=0.06)


def test_without_censoring_all_count_the_same():
    assert uncensored_weights(np.array([3.0, 1.0]), np.zeros(2, dtype=bool)).tolist() == [1.0, 1.0]
    assert uncensored_weights(np.array([3.0, 1.0]), np.ones(2, dtype=bool)).tolist() == [1.0, 1.0]


def test_lengths_are_expected_values_and_the_quantile_covers():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 3)).astype(np.float32)
    tokens = np.exp(4 + 0.5 * x[:, :1] + 0.4 * rng.normal(size=(3000, 1)))
    lengths = fit_lengths(
        x[:2000], tokens[:2000], np.zeros((2000, 1), dtype=bool), np.arange(2000) % 5
    ).lengths
    found = np.array([lengths.predict(row) for row in x[2000:]])[:, :, 0]
    assert found[:, 0].mean() == pytest.approx(tokens[2000:].mean(), rel=0.05)
    assert (tokens[2000:, 0] <= found[:, 1]).mean() == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize("seed", range(4))
def test_lengths_that_no_number_tells_are_their_mean_and_the_quantile_covers(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2300, 150)).astype(np.float32)
    tokens = np.exp(5 + 0.6 * rng.normal(size=(2300, 1)))
    lengths = fit_lengths(x[:300], tokens[:300], np.zeros((300, 1), dtype=bool), np.arange(300) % 5).lengths
    found = np.array([lengths.predict(row) for row in x[300:]])[:, :, 0]
    mean = tokens[:300].mean()
    error = np.mean((tokens[300:, 0] - found[:, 0]) ** 2) / np.mean((tokens[300:, 0] - mean) ** 2)
    assert error < 1.05  # 1.5 and more with a penalty of ten rows
    assert (tokens[300:, 0] <= found[:, 1]).mean() > 0.86


def test_lengths_of_one_text_alone_are_their_mean():
    x, tokens = np.zeros((60, 2), dtype=np.float32), np.arange(1.0, 61.0)[:, None]
    lengths = fit_lengths(x, tokens, tokens > 99, np.zeros(60, dtype=np.int64)).lengths
    assert lengths.predict(x[0])[0] == pytest.approx([30.5])


def test_a_backend_without_lengths_and_one_with_a_constant_length_are_served():
    tokens = np.array([[np.nan, 7.0]] * 60)
    x = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    lengths = fit_lengths(x, tokens, tokens > 99, np.arange(60) % 5).lengths
    expected, upper = lengths.predict(np.zeros(2, dtype=np.float32))
    assert (expected[1], upper[1]) == pytest.approx((7.0, 7.0))
    assert np.isfinite(expected).all()


def test_a_weighted_quantile_counts_weights():
    assert weighted_quantile(np.array([3.0, 1.0, 2.0]), np.array([1.0, 8.0, 1.0]), 0.8) == 1.0
    assert weighted_quantile(np.array([3.0, 1.0, 2.0]), np.ones(3), 0.9) == 3.0


def _scattered(rng: np.random.Generator, n: int) -> tuple[Rows, Floats, Floats]:
    """Lengths whose typical value the first number tells, and whose scatter the second: (rows, tokens, true means)."""
    x = rng.normal(size=(n, 4)).astype(np.float32)
    wide = x[:, 1] > 0
    x[:, 1] = wide
    scatter = np.where(wide, 1.4, 0.2)
    tokens = np.exp(4 + 0.5 * x[:, 0] + scatter * rng.normal(size=n))
    return x, tokens[:, None], np.exp(4 + 0.5 * x[:, 0] + scatter**2 / 2)


@pytest.mark.parametrize("with_trees", [False, True])
def test_the_mean_is_right_where_lengths_scatter_and_where_they_do_not(with_trees):
    rng = np.random.default_rng(3)
    x, tokens, true = _scattered(rng, 6000)
    fitted = fit_lengths(
        x[:4000], tokens[:4000], np.zeros((4000, 1), dtype=bool), np.arange(4000) % 5, with_trees=with_trees
    )
    found = np.array([fitted.lengths.predict(row)[0][0] for row in x[4000:]])
    wide = x[4000:, 1] > 0
    # a factor on the typical length says the same of both: 1.7 times too much of one, .65 of the other
    assert found[wide].mean() == pytest.approx(true[4000:][wide].mean(), rel=0.15)
    assert found[~wide].mean() == pytest.approx(true[4000:][~wide].mean(), rel=0.15)


def test_trees_tell_what_no_sum_of_numbers_can():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(3000, 6)).astype(np.float32)
    true = np.where((x[:, 0] > 0) ^ (x[:, 1] > 0), 400.0, 50.0)
    tokens = (true * np.exp(0.2 * rng.normal(size=3000)))[:, None]
    known, new = slice(0, 2000), slice(2000, 3000)
    nothing_cut, parts = np.zeros((2000, 1), dtype=bool), np.arange(2000) % 5

    def error(*, with_trees: bool) -> float:
        found = fit_lengths(x[known], tokens[known], nothing_cut, parts, with_trees=with_trees).lengths
        told = np.array([found.predict(row)[0][0] for row in x[new]])
        return float(np.mean((told - true[new]) ** 2) / true[new].var())

    assert error(with_trees=True) < 0.35
    assert error(with_trees=False) > 0.8


def test_what_is_expected_of_the_fits_own_rows_has_not_seen_their_lengths():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(600, 40)).astype(np.float32)
    tokens = np.exp(5 + rng.normal(size=(600, 1)))  # nothing tells them
    fitted = fit_lengths(x, tokens, np.zeros((600, 1), dtype=bool), np.arange(600) % 5)
    assert np.corrcoef(fitted.expected[:, 0], tokens[:, 0])[0, 1] < 0.1


def test_a_backend_that_says_something_once_alone_is_expected_to_say_next_to_nothing():
    x = np.random.default_rng(9).normal(size=(400, 5)).astype(np.float32)
    tokens = np.zeros((400, 1))
    tokens[7] = 40.0
    fitted = fit_lengths(x, tokens, np.zeros((400, 1), dtype=bool), np.arange(400) % 5)
    assert np.isfinite(fitted.expected).all()
    assert fitted.expected.max() <= 40.0
    assert np.median(fitted.expected) < 1.0


def test_of_very_many_rows_some_are_enough(monkeypatch):
    monkeypatch.setattr("predictors.length_fit._MOST_ROWS", 800)
    rng = np.random.default_rng(8)
    x, tokens, true = _scattered(rng, 4000)
    fitted = fit_lengths(x, tokens, np.zeros(tokens.shape, dtype=bool), np.arange(4000) % 5)
    assert fitted.expected.shape == (4000, 1)
    assert np.corrcoef(np.log(fitted.expected[:, 0]), np.log(true))[0, 1] > 0.9


def test_what_was_learned_of_lengths_is_kept_in_arrays():
    rng = np.random.default_rng(6)
    x, tokens, _ = _scattered(rng, 1500)
    x[:, 2] = np.abs(x[:, 0])
    tokens = np.hstack([tokens, 30 + 500 * (x[:, :1] * x[:, 1:2] > 0)])
    lengths = fit_lengths(x, tokens, np.zeros(tokens.shape, dtype=bool), np.arange(1500) % 5).lengths
    assert lengths.share[1] > 0  # so that trees are among what is kept
    again = Lengths.from_arrays(lengths.arrays())
    for row in x[:50]:
        assert [one.tolist() for one in again.predict(row)] == [one.tolist() for one in lengths.predict(row)]


def test_arrays_of_a_bundle_from_before_means_had_numbers_of_their_own():
    arrays = {
        "mean": np.zeros(2), "scale": np.ones(2), "coef": np.array([[0.5, 0.0], [0.0, -0.25], [3.0, 2.0]]),
        "factor": np.array([1.5, 0.0]), "upper": np.array([0.4, 0.0]), "most": np.array([1000.0, 50.0]),
    }  # fmt: skip
    expected, upper = Lengths.from_arrays(arrays).predict(np.array([1.0, 2.0], dtype=np.float32))
    assert expected == pytest.approx([1.5 * np.exp(3.5), 0.0], abs=1e-6)
    assert upper == pytest.approx([np.expm1(3.9), np.expm1(1.5)])


@pytest.mark.parametrize("name", ["coef", "scale", "most", "share"])
def test_arrays_that_do_not_fit_together_are_refused(name):
    rng = np.random.default_rng(7)
    x, tokens, _ = _scattered(rng, 100)
    arrays = fit_lengths(x, tokens, np.zeros(tokens.shape, dtype=bool), np.arange(100) % 5).lengths.arrays()
    with pytest.raises(BundleError, match="does not fit"):
        Lengths.from_arrays(arrays | {name: arrays[name][:-1]})
