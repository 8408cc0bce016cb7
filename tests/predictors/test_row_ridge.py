"""Many weak effects of a row's numbers add up; what is held out was not seen, and what is served is what was fitted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from predictors.errors import BundleError
from predictors.query_heads import QueryHeads
from predictors.row_ridge import RowRidge, fit_row_ridge


@pytest.fixture(scope="module")
def drawn():
    """600 rows of 40 numbers, each with a weak effect on what two heads are to say; the truth of each row."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(600, 40)).astype(np.float32) * 3 + 7
    truth = np.clip(0.5 + 0.03 * (x - 7) @ rng.choice([-1.0, 1.0], (40, 2)) / 3, 0.0, 1.0)
    return x, truth, (rng.random((600, 2)) < truth).astype(float), rng.integers(0, 5, 600)


def test_weak_effects_are_found_together(drawn):
    x, truth, y, folds = drawn
    held_out = fit_row_ridge(x, y, folds).held_out
    error, of_the_mean = np.square(held_out - truth).mean(axis=0), truth.var(axis=0)
    assert (error < 0.6 * of_the_mean).all()


def test_where_nothing_is_to_be_learned_the_mean_is_said(drawn):
    x, _, _, folds = drawn
    y = (np.random.default_rng(6).random((len(x), 1)) < 0.3).astype(float)
    held_out = fit_row_ridge(x, y, folds).held_out[:, 0]
    assert np.square(held_out - 0.3).mean() < 0.005


def test_each_head_takes_its_own_penalty(drawn):
    x, truth, _, folds = drawn
    noise = (np.random.default_rng(7).random(len(x)) < 0.5).astype(float)
    exact = np.column_stack([truth[:, 0], noise])
    both = fit_row_ridge(x, exact, folds)
    assert np.abs(both.full.coef[:-1, 0]).sum() > 5 * np.abs(both.full.coef[:-1, 1]).sum()
    for head in (0, 1):  # heads on the same rows share their sums, and nothing else
        alone = fit_row_ridge(x, exact[:, [head]], folds)
        assert alone.held_out[:, 0] == pytest.approx(both.held_out[:, head], abs=1e-12)


def held_out_of(x: Any, y: Any, folds: Any) -> Any:
    """Held-out predictions of one penalty alone: which is taken may depend on all labels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("predictors.row_ridge._PENALTIES", (300.0,))
        return fit_row_ridge(x, y, folds).held_out


def test_a_fold_is_predicted_without_its_labels(drawn):
    x, _, y, folds = drawn
    changed = y.copy()
    changed[folds == 2] = 1 - changed[folds == 2]
    one, other = held_out_of(x, y, folds), held_out_of(x, changed, folds)
    assert (one[folds == 2] == other[folds == 2]).all()
    assert (one[folds != 2] != other[folds != 2]).any()


def test_rows_without_a_label_teach_nothing_and_are_predicted(drawn):
    x, truth, y, folds = drawn
    partly = y.copy()
    partly[::3, 1] = np.nan
    found = fit_row_ridge(x, partly, folds)
    assert np.isfinite(found.held_out).all()
    kept = np.flatnonzero(np.isfinite(partly[:, 1]))
    error = np.square(found.held_out[::3, 1] - truth[::3, 1]).mean()
    assert error < truth[:, 1].var()
    assert len(kept) == 400


@pytest.mark.parametrize("head", ["nothing known", "one fold", "always right"])
def test_labels_that_are_few_or_equal_end_in_a_number(drawn, head):
    x, _, y, folds = drawn
    y = y[:, :1].copy()
    if head == "nothing known":
        y[:] = np.nan
    elif head == "one fold":
        y[folds != 1] = np.nan
    else:
        y[:] = 1.0
    found = fit_row_ridge(x, y, folds)
    served = found.full.of(x[0])
    assert np.isfinite(found.held_out).all()
    assert 0.0 <= served[0] <= 1.0
    if head == "always right":
        assert served[0] == 1.0
    else:  # of the fold that alone is labelled nothing can be said by the others
        assert (found.held_out[folds == 1] == 0.5).all()


def test_a_number_that_never_changed_says_nothing_when_it_does(drawn):
    x, _, y, folds = drawn
    still = x.copy()
    still[:, 3] = 2.0
    full = fit_row_ridge(still, y, folds).full
    moved = still[0].copy()
    moved[3] = 1e6
    assert (full.of(moved) == full.of(still[0])).all()


def test_a_row_far_from_the_fit_stays_in_bounds(drawn):
    x, _, y, folds = drawn
    full = fit_row_ridge(x, y, folds).full
    for far in (np.full(40, 1e30, np.float32), np.full(40, -1e30, np.float32)):
        assert ((full.of(far) >= 0) & (full.of(far) <= 1)).all()


def test_what_is_read_back_says_the_same_to_the_last_bit_of_longer_rows_too(drawn):
    x, _, y, folds = drawn
    full = fit_row_ridge(x, y, folds).full
    again = RowRidge.from_arrays(full.arrays(), 2, 40)
    for row in x[:50]:
        assert (again.of(row) == full.of(row)).all()
        assert (again.of(np.append(row, np.float32(9))) == full.of(row)).all()


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda arrays: arrays.pop("mean"),
        lambda arrays: arrays.update(coef=arrays["coef"][:-1]),
        lambda arrays: arrays.update(scale=arrays["scale"][:, None]),
    ],
)
def test_arrays_that_do_not_fit_are_refused(drawn, spoilt):
    x, _, y, folds = drawn
    arrays = fit_row_ridge(x, y, folds).full.arrays()
    spoilt(arrays)
    with pytest.raises(BundleError, match="row ridge"):
        RowRidge.from_arrays(arrays, 2, 40)


def read_back(bundle: Any, arrays: Any) -> QueryHeads:
    heads = bundle.query_heads
    return QueryHeads.from_arrays(heads.names, arrays, len(bundle.featurizer.spec.names))


def test_heads_of_a_bundle_from_before_read_as_heads_without_it(bundle):
    arrays = bundle.query_heads.arrays()
    before = {name: array for name, array in arrays.items() if not name.startswith("numbers/")}
    before["heads/blend"] = arrays["heads/blend"][:, :3]
    features = bundle.featurizer.of_text("Which prime is the largest of group 77?")
    none = {**before, "heads/blend": arrays["heads/blend"] * [1, 1, 1, 0]}
    assert (
        read_back(bundle, before).predict(features)[0] == read_back(bundle, none).predict(features)[0]
    ).all()


def test_a_blend_that_weighs_what_is_not_there_is_refused(bundle):
    arrays = bundle.query_heads.arrays()
    lacking = {name: array for name, array in arrays.items() if not name.startswith("numbers/")}
    lacking["heads/blend"] = np.full((len(bundle.query_heads.names), 4), 0.25)
    with pytest.raises(BundleError, match="not there"):
        read_back(bundle, lacking)
