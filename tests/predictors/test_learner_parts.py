"""The parts that heads are made of: ridge on hashed n-grams, guarded blends, fast trees, lengths."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from predictors.errors import BundleError
from predictors.hashed import HashedRidge, fit_hashed, scores_while_held_out
from predictors.stack import guarded_blend, simplex_weights
from predictors.trees import Trees

SIZE = 64


def documents(count: int, seed: int):
    """Sets of buckets, and two targets that depend on buckets 1 and 2; the second is not always known."""
    rng = np.random.default_rng(seed)
    texts = [np.unique(rng.integers(0, SIZE, 12)) for _ in range(count)]
    y = np.array([[0.3 + 0.4 * (1 in text), 0.8 - 0.5 * (2 in text)] for text in texts])
    y += rng.normal(0, 0.02, y.shape)
    y[rng.random(count) < 0.3, 1] = np.nan
    return texts, y


def explicit_ridge(texts, y, penalty) -> np.ndarray:
    """The same by solving the normal equations: unit rows, centred targets."""
    x = np.zeros((len(texts), SIZE))
    for row, text in enumerate(texts):
        x[row, text] = 1 / np.sqrt(len(text))
    known = np.isfinite(y)
    mean = y[known].mean()
    a = x[known]
    coef = np.linalg.solve(a.T @ a + penalty * np.eye(SIZE), a.T @ (y[known] - mean))
    return np.asarray(x @ coef + mean)


def test_conjugate_gradients_solve_the_ridge_equations_of_every_target():
    texts, y = documents(400, 0)
    found = fit_hashed(texts, SIZE, y, np.arange(400) % 5, penalty=2.0, rarity=0.0)
    scores = np.array([found.full.scores(text) for text in texts])
    for target in (0, 1):
        assert scores[:, target] == pytest.approx(explicit_ridge(texts, y[:, target], 2.0), abs=2e-3)


def test_held_out_scores_come_from_a_fit_without_the_fold():
    texts, y = documents(400, 0)
    folds = np.arange(400) % 5
    found = fit_hashed(texts, SIZE, y, folds, penalty=2.0, rarity=0.0)
    without = y[:, 0].copy()
    without[folds == 3] = np.nan
    assert found.held_out[folds == 3, 0] == pytest.approx(
        explicit_ridge(texts, without, 2.0)[folds == 3], abs=2e-3
    )


def test_labels_of_a_fold_do_not_reach_its_own_held_out_scores():
    texts, y = documents(200, 0)
    folds = np.arange(200) % 5
    changed = y.copy()
    changed[folds == 2] = 1.0 - changed[folds == 2]
    one, other = (fit_hashed(texts, SIZE, labels, folds, 2.0, 1.0).held_out for labels in (y, changed))
    assert np.array_equal(one[folds == 2], other[folds == 2])
    assert not np.array_equal(one[folds == 1], other[folds == 1])


def test_scores_while_a_fold_is_held_out_know_none_of_its_labels_in_any_row():
    """Rows of other folds, too: what is fitted on them is judged on this one."""
    texts, y = documents(200, 0)
    folds = np.arange(200) % 5
    changed = y.copy()
    changed[folds == 2] = 1.0 - changed[folds == 2]
    found = []
    for labels in (y, changed):
        held_out = fit_hashed(texts, SIZE, labels, folds, 2.0, 1.0).held_out
        found.append(scores_while_held_out(texts, SIZE, labels, folds, 2.0, 1.0, held_out))
    assert found[0][2] == pytest.approx(found[1][2], abs=1e-3)  # as near as the equations are solved
    assert np.abs(found[0][1] - found[1][1]).max() > 0.1
    without = y[:, 0].copy()
    without[(folds == 2) | (folds == 4)] = np.nan
    held_out = fit_hashed(texts, SIZE, y, folds, 2.0, 0.0).held_out
    seen = scores_while_held_out(texts, SIZE, y, folds, 2.0, 0.0, held_out)
    both = explicit_ridge(texts, without, 2.0)
    assert seen[2][folds == 4, 0] == pytest.approx(both[folds == 4], abs=2e-3)
    assert seen[4][folds == 2, 0] == pytest.approx(both[folds == 2], abs=2e-3)
    assert np.array_equal(seen[2][folds == 2], held_out[folds == 2])


@pytest.mark.parametrize("rarity", [0.0, 1.0])
def test_the_table_survives_its_arrays_bit_for_bit_also_for_new_buckets(rarity):
    texts, y = documents(200, 0)
    full = fit_hashed(texts, 4 * SIZE, y, np.arange(200) % 5, 2.0, rarity).full
    again = HashedRidge.from_arrays(full.arrays())
    for text in (*texts[:20], np.array([1, 2, 200]), np.array([100, 101]), np.zeros(0, dtype=np.int64)):
        assert np.array_equal(full.scores(text), again.scores(text))


def test_a_text_of_new_ngrams_only_gets_the_mean():
    texts, y = documents(200, 0)
    full = fit_hashed(texts, 4 * SIZE, y, np.arange(200) % 5, 2.0, 1.0).full
    assert np.array_equal(full.scores(np.array([100, 101])), full.mean)


def test_arrays_of_another_table_are_refused():
    texts, y = documents(50, 0)
    arrays = fit_hashed(texts, SIZE, y, np.arange(50) % 5, 2.0, 1.0).full.arrays()
    with pytest.raises(BundleError, match="hashed"):
        HashedRidge.from_arrays(arrays | {"mean": np.zeros(3)})


def members(count: int):
    rng = np.random.default_rng(0)
    p = rng.beta(1, 1, count)
    y = (rng.random(count) < p).astype(float)
    return np.stack([np.full(count, y.mean()), p, rng.random(count)], axis=1), y, rng.integers(0, 5, count)


def test_a_blend_finds_the_member_that_knows():
    found, y, _ = members(4000)
    weights = simplex_weights(found, y, np.ones(4000))
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    assert weights[1] > 0.9


def test_where_no_member_knows_anything_the_base_rate_alone_is_served():
    found, y, folds = members(300)
    noise = np.random.default_rng(5).random(300)
    lost = 0
    for seed in range(20):
        shuffled = np.random.default_rng(seed).permutation(y)
        blend, held_out = guarded_blend(np.stack([found[:, 0], noise], axis=1), shuffled, np.ones(300), folds)
        assert ((held_out - shuffled) ** 2).mean() <= ((found[:, 0] - shuffled) ** 2).mean()
        lost += blend[0] < 1.0
    assert lost <= 6


@pytest.fixture(scope="module")
def grown():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 20)).astype(np.float32)
    return Trees().fit(
        x, (rng.random(2000) < 0.5 + 0.4 * np.tanh(x[:, 0])).astype(float), np.ones(2000), 0
    ), x


def test_the_single_row_path_is_exact(grown):
    trees, x = grown
    assert np.array_equal(np.array([trees.row(row) for row in x]), trees.predict(x))


def test_the_single_row_path_is_exact_from_many_threads(grown):
    trees, x = grown
    expected = trees.predict(x).tolist()
    wrong: list[int] = []

    def check(first: int) -> None:
        wrong.extend(place for place in range(first, len(x), 4) if trees.row(x[place]) != expected[place])

    threads = [threading.Thread(target=check, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    "row",
    [np.zeros(19, np.float32), np.zeros((1, 20), np.float32), np.zeros(20), np.zeros(40, np.float32)[::2]],
)
def test_a_row_that_the_c_code_would_misread_is_refused(grown, row):
    with pytest.raises(ValueError, match=r"shape|contiguous float32"):
        grown[0].row(row)


@pytest.mark.parametrize("cut", [0, 4, 100, 5000])
def test_a_cut_model_text_is_refused_before_lightgbm_reads_it(grown, cut):
    text = grown[0].arrays()["model"]
    with pytest.raises(BundleError, match=r"cut or is none|tree 1: its lines"):
        Trees.from_arrays({"model": text[:cut]})
