"""Compiled sums over rows of tables are numpy's, to the last bit, and read nothing outside of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from predictors import scaled_products as module
from predictors.compiled import BUILT, add_rows, scaled_sum
from predictors.hashed import HashedRidge
from predictors.scaled_products import scaled_products
from predictors.text_space import WIDTH, TextSpace

needs_it = pytest.mark.skipif(not BUILT, reason="predictors/row_sums.c was not built: there is no C compiler")


@needs_it
def test_added_rows_are_those_that_numpy_adds():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(500, 7)).astype(np.float32)
    index = np.where(rng.random(2000) < 0.5, rng.integers(1, 500, 2000), 0).astype(np.int32)
    for count in (0, 1, 9, 700):
        direct, through = rng.integers(0, 500, count), np.sort(rng.integers(0, 2000, count))
        assert np.array_equal(
            np.frombuffer(add_rows(table, 7, direct, None)), table[direct].sum(0, dtype=np.float64)
        )
        kept = index[through][index[through] != 0]
        assert np.array_equal(
            np.frombuffer(add_rows(table, 7, through, index)), table[kept].sum(0, dtype=np.float64)
        )


@needs_it
@pytest.mark.parametrize(
    ("buckets", "index", "error"),
    [
        (np.array([3]), None, IndexError),
        (np.array([-1]), None, IndexError),
        (np.array([1]), np.array([0, 9], np.int32), IndexError),
        (np.array([2]), np.array([0, 1], np.int32), IndexError),
        (np.array([0], np.int32), None, ValueError),
        (np.array([0]), np.array([0]), ValueError),
    ],
)
def test_what_lies_outside_of_a_table_is_an_error_and_not_read(buckets, index, error):
    with pytest.raises(error):
        add_rows(np.zeros((3, 2), np.float32), 2, buckets, index)


@needs_it
@pytest.mark.parametrize("columns", [1, 2, 9])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_row_through_a_fitted_map_is_what_numpy_makes_of_it(monkeypatch, columns, kind):
    rng = np.random.default_rng(columns)
    row = (4 * rng.normal(size=300)).astype(kind)  # some beyond the cut
    mean, scale, coef = rng.normal(size=300), 3 * rng.random(300), rng.normal(size=(301, columns))
    found = scaled_products(row, mean, scale, 5.0, coef)
    monkeypatch.setattr(module, "BUILT", False)
    assert np.array_equal(found, scaled_products(row, mean, scale, 5.0, coef))


@needs_it
def test_a_map_that_does_not_fit_the_row_is_refused():
    row, numbers = np.zeros(3, np.float32), np.zeros(3)
    wrong: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]] = [
        (np.zeros(2), numbers, np.zeros((4, 2))),
        (numbers, np.zeros(4), np.zeros((4, 2))),
        (numbers, numbers, np.zeros((3, 2))),
        (numbers, numbers, np.zeros((4, 0))),
        (numbers.astype(np.float32), numbers, np.zeros((4, 2))),
    ]
    for mean, scale, coef in wrong:
        with pytest.raises(ValueError, match=r"fit together|width"):
            scaled_sum(row, mean, scale, 5.0, coef)


@needs_it
def test_the_heads_say_the_same_without_it(monkeypatch):
    rng = np.random.default_rng(5)
    ridge = HashedRidge(rng.random((4096, 5)).astype(np.float32), rng.normal(size=4))
    place = np.where(rng.random(4096) < 0.2, rng.integers(1, 50, 4096), 0).astype(np.int32)
    space = TextSpace(place, rng.normal(size=(50, WIDTH)).astype(np.float32))
    buckets = np.sort(rng.permutation(4096)[:600])
    with_it = ridge.scores(buckets), space.of(buckets)
    monkeypatch.setattr("predictors.hashed.BUILT", False)
    monkeypatch.setattr("predictors.text_space.BUILT", False)
    assert np.array_equal(with_it[0], ridge.scores(buckets))
    assert np.array_equal(with_it[1], space.of(buckets))
