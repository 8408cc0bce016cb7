"""The ridge on n-grams for a hundred targets: in blocks, with the numbers of one block."""

from __future__ import annotations

import tracemalloc

import numpy as np
from scipy import sparse

from predictors.hashed import _product, fit_hashed

SIZE = 4096


def drawn(count: int, targets: int):
    """Sets of buckets, and targets that each depend on a bucket of their own."""
    rng = np.random.default_rng(3)
    texts = [np.unique(rng.integers(0, SIZE, 30)) for _ in range(count)]
    told = np.array([[(target + 1) in text for target in range(targets)] for text in texts], dtype=np.float64)
    return texts, 0.3 + 0.4 * told + rng.normal(0, 0.05, told.shape)


def test_a_product_by_blocks_of_columns_is_the_product_to_the_last_bit():
    rng = np.random.default_rng(0)
    x = sparse.random(90, 70, 0.2, "csr", dtype=np.float32, rng=rng)
    y = rng.standard_normal((70, 101)).astype(np.float32)
    assert np.array_equal(_product(x, y), x @ y)


def test_a_target_among_a_hundred_is_fitted_as_if_it_were_alone():
    texts, y = drawn(240, 100)
    folds = np.arange(240) % 5
    together = fit_hashed(texts, SIZE, y, folds, 2.0, 1.0).held_out
    for place in (0, 50, 99):
        alone = fit_hashed(texts, SIZE, y[:, place : place + 1], folds, 2.0, 1.0).held_out[:, 0]
        assert np.abs(together[:, place] - alone).max() < 2e-3


def test_memory_does_not_grow_with_the_targets_times_the_folds():
    texts, y = drawn(120, 240)
    tracemalloc.start()
    fit_hashed(texts, SIZE, y, np.arange(120) % 5, 2.0, 1.0)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    solved = 6 * y.shape[1] * len(np.unique(np.concatenate(texts))) * 4  # bytes of what is returned
    assert most < 3 * solved
