"""One regression over a sample's features and its words, on samples whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from predictors.errors import BundleError, FitError
from predictors.linear import Linear
from predictors.sample_head import SampleHead, wordless
from predictors.word_regression import WordRegression, fit_word_regression
from training.fit.one_head import fit_on_rows
from training.sample_rows import SampleRows

Drawn = tuple[np.ndarray, list[np.ndarray], np.ndarray]


def drawn(n: int, seed: int) -> Drawn:
    """A feature and a word, of which each tells a half."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6)).astype(np.float32)
    said = rng.random(n) < 0.5
    words = [np.array(sorted({7 if one else 8, *rng.integers(10, 60, 5).tolist()})) for one in said]
    margin = 1.5 * x[:, 2] + 3.0 * (said - 0.5)
    return x, words, (rng.random(n) < 1 / (1 + np.exp(-margin))).astype(float)


@pytest.fixture(scope="module")
def fitted() -> WordRegression:
    x, words, y = drawn(600, 0)
    return fit_word_regression(x, words, y, np.ones(600))


def order(p: np.ndarray, y: np.ndarray) -> float:
    return float((p[y == 1][:, None] > p[y == 0]).mean())


def test_it_finds_what_features_and_words_tell_and_each_is_worth_something(fitted: WordRegression):
    x, words, y = drawn(1500, 1)
    together = order(fitted.many(x, words), y)
    assert together > 0.84
    assert order(fitted.many(np.zeros_like(x), words), y) < together - 0.05
    assert order(fitted.many(x, [np.array([9])] * len(y)), y) < together - 0.05


def test_one_sample_is_judged_as_among_many_to_the_last_bit_and_so_by_what_is_read_back(
    fitted: WordRegression,
):
    x, words, _ = drawn(60, 2)
    x[0, 2] = 1e6  # far outside: cut
    together = fitted.many(x, words).tolist()
    again = WordRegression.from_arrays(fitted.arrays())
    assert [fitted.one(row, some) for row, some in zip(x, words, strict=True)] == together
    assert [again.one(row, some) for row, some in zip(x, words, strict=True)] == together
    assert 0 < min(together) < max(together) < 1


def test_an_answer_without_a_word_is_judged_by_its_features(fitted: WordRegression):
    x, _, _ = drawn(2, 3)
    x[1] = x[0]
    x[1, 2] += 1.0
    low, high = (fitted.one(row, np.zeros(0, np.int64)) for row in x)
    assert 0 < low < high < 1


def test_labels_that_are_all_equal_are_believed_only_so_far():
    x, words, _ = drawn(50, 0)
    for label, least, most in ((0.0, 0.0, 0.1), (1.0, 0.9, 1.0)):
        p = fit_word_regression(x, words, np.full(50, label), np.ones(50)).many(x, words)
        assert least < p.min() <= p.max() < most


def test_what_does_not_fit_together_is_refused(fitted: WordRegression):
    x, words, y = drawn(20, 0)
    with pytest.raises(FitError, match="20 rows and 19 texts"):
        fit_word_regression(x, words[:-1], y, np.ones(20))
    with pytest.raises(FitError, match="finite"):
        fit_word_regression(np.full_like(x, np.nan), words, y, np.ones(20))
    with pytest.raises(ValueError, match="fitted on"):
        fitted.many(x[:, :-1], words)
    arrays = fitted.arrays()
    with pytest.raises(BundleError, match="words"):
        WordRegression.from_arrays({name: one for name, one in arrays.items() if name[:5] != "words"})
    with pytest.raises(BundleError, match="mean, scale, coef"):
        WordRegression.from_arrays({name: one for name, one in arrays.items() if name[:3] != "row"})


def rows(n: int, seed: int) -> SampleRows:
    """Samples of one backend, one a query."""
    from predictors.sample_features import NAMES

    x, words, y = drawn(n, seed)
    wide = np.zeros((n, len(NAMES) + 1), np.float32)
    wide[:, : x.shape[1]], wide[:, -1] = x, 1.0
    every = np.arange(n)
    return SampleRows(wide, tuple(words), y, np.full(n, 0.5), np.ones(n), every % 5, every)


def test_the_sample_heads_regression_reads_the_words_and_one_row_is_as_many():
    made = rows(300, 0)
    head = fit_on_rows(made, ("small",), 0).head
    assert head is not None
    assert isinstance(head.linear, WordRegression)
    head = replace(head, blend=np.array([0.0, 0.0, 1.0, 0.0, 0.0]), trees=None, blind_trees=None)
    again = SampleHead.from_arrays(("small",), head.arrays())
    together = again.many(made.x, made.words, made.prior)
    alone = [again.of_row("small", list(made.x[at]), made.words[at], 0.5) for at in range(300)]
    assert alone == together.tolist()
    assert order(together, made.y) > 0.8


def test_a_head_of_before_whose_regression_read_one_number_of_the_words_judges_as_it_did():
    made = rows(300, 0)
    head = fit_on_rows(made, ("small",), 0).head
    assert head is not None
    rng = np.random.default_rng(1)
    width = made.x.shape[1] + 3
    linear = Linear(mean=np.zeros(width), scale=np.ones(width), coef=rng.normal(size=width + 1) / 9)
    of_before = replace(head, linear=linear, blend=np.array([0.0, 0.0, 0.6, 0.4, 0.0]))
    again = SampleHead.from_arrays(("small",), of_before.arrays())
    assert isinstance(again.linear, Linear)
    expected = of_before.many(made.x, made.words, made.prior)
    assert np.array_equal(again.many(made.x, made.words, made.prior), expected)
    assert np.ptp(expected) > 0.3


def test_the_ridges_number_is_taken_out_of_a_row():
    whole = np.arange(12, dtype=np.float32).reshape(2, 6)
    assert wordless(whole).tolist() == [[0, 1, 2, 4, 5], [6, 7, 8, 10, 11]]
    assert wordless(whole[0]).tolist() == [0, 1, 2, 4, 5]
