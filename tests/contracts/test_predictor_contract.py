"""Every learner in the table: what all of them owe a bundle."""

from __future__ import annotations

import io

import numpy as np
import pytest

from predictors import PREDICTORS, Predictor
from predictors.calibration import ece_debiased, log_loss
from predictors.errors import BundleError, FitError
from router.plugins import resolve

ROWS, WIDTH = 3000, 8


@pytest.fixture(params=sorted(PREDICTORS), scope="module")
def learner(request):
    return resolve("predictor", PREDICTORS, request.param)


def truth(seed: int):
    """Features, right or wrong, and the probability that it was drawn with."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(ROWS, WIDTH)).astype(np.float32)
    p = 1 / (1 + np.exp(-(1.5 * x[:, 0] - 1.0 * x[:, 1] + 0.5)))
    return x, (rng.random(ROWS) < p).astype(np.float64), p


@pytest.fixture(scope="module")
def fitted(learner):
    x, y, _ = truth(0)
    return learner().fit(x, y, np.ones(ROWS), 7)


def test_it_keeps_the_contract(learner):
    assert isinstance(learner(), Predictor)


def test_fit_returns_the_learner_itself(learner):
    x, y, _ = truth(0)
    model = learner()
    assert model.fit(x[:100], y[:100], np.ones(100), 0) is model


def test_predictions_are_probabilities_one_per_row(fitted):
    p = fitted.predict(truth(1)[0])
    assert p.shape == (ROWS,)
    assert p.dtype == np.float64
    assert ((p >= 0) & (p <= 1)).all()


def test_extreme_features_give_probabilities_too(fitted):
    p = fitted.predict(np.array([[1e30] * WIDTH, [-1e30] * WIDTH], dtype=np.float32))
    assert ((p >= 0) & (p <= 1)).all()


def test_it_learns_a_known_truth_better_than_the_base_rate(fitted):
    x, y, p = truth(1)
    learned, base, best = (log_loss(q, y) for q in (fitted.predict(x), np.full(ROWS, y.mean()), p))
    assert learned < base - 0.8 * (base - best)


def test_it_is_calibrated_on_queries_it_never_saw(fitted):
    x, y, _ = truth(1)
    assert ece_debiased(fitted.predict(x), y, np.random.default_rng(0)) < 0.03


def test_what_is_kept_survives_a_file_without_pickle_and_predicts_bit_for_bit_the_same(learner, fitted):
    held = io.BytesIO()
    np.savez(held, **fitted.arrays())
    held.seek(0)
    with np.load(held, allow_pickle=False) as archive:
        again = learner.from_arrays({name: archive[name] for name in archive.files})
    x = truth(1)[0]
    assert np.array_equal(again.predict(x), fitted.predict(x))


def test_a_row_is_predicted_alone_as_among_others(fitted):
    x = truth(1)[0][:50]
    assert np.array_equal(np.concatenate([fitted.predict(row[None]) for row in x]), fitted.predict(x))


def test_the_same_seed_gives_the_same_learner(learner, fitted):
    x, y, _ = truth(0)
    again = learner().fit(x, y, np.ones(ROWS), 7)
    assert {k: v.tobytes() for k, v in again.arrays().items()} == {
        k: v.tobytes() for k, v in fitted.arrays().items()
    }


def test_a_heavier_row_counts_more(learner):
    x, y, _ = truth(0)
    heavy = learner().fit(x, y, np.where(y == 1, 5.0, 1.0), 0).predict(x).mean()
    assert heavy > learner().fit(x, y, np.ones(ROWS), 0).predict(x).mean() + 0.1


def test_fractions_of_a_label_are_targets(learner):
    x, _, p = truth(0)
    assert np.abs(learner().fit(x, p, np.ones(ROWS), 0).predict(x) - p).mean() < 0.05


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_one_class_alone_is_learned_as_near_certainty(learner, value):
    x, _, _ = truth(0)
    p = learner().fit(x[:500], np.full(500, value), np.ones(500), 0).predict(x)
    assert np.isfinite(p).all()
    assert np.abs(p - value).max() < 0.05


def broken(name: str):
    x, y, _ = truth(0)
    x, y, weight = x[:50].copy(), y[:50].copy(), np.ones(50)
    if name == "no rows":
        return x[:0], y[:0], weight[:0]
    if name == "one row":
        return x[:1], y[:1], weight[:1]
    if name == "a feature that is NaN":
        x[3, 2] = np.nan
    elif name == "a feature that is infinite":
        x[3, 2] = np.inf
    elif name == "a target that is NaN":
        y[4] = np.nan
    elif name == "a target above 1":
        y[4] = 1.5
    elif name == "a weight of 0":
        weight[0] = 0.0
    elif name == "a weight that is NaN":
        weight[0] = np.nan
    else:
        y = y[:-1]
    return x, y, weight


@pytest.mark.parametrize(
    "name",
    [
        "no rows", "one row", "a feature that is NaN", "a feature that is infinite", "a target that is NaN",
        "a target above 1", "a weight of 0", "a weight that is NaN", "fewer targets than rows",
    ],
)  # fmt: skip
def test_rows_that_cannot_be_fitted_are_refused(learner, name):
    with pytest.raises(FitError):
        learner().fit(*broken(name), 0)


def test_rows_of_another_width_are_refused(fitted):
    with pytest.raises(ValueError, match="shape"):
        fitted.predict(np.zeros((2, WIDTH + 1), dtype=np.float32))


def test_arrays_that_are_not_its_own_are_refused(learner):
    with pytest.raises(BundleError):
        learner.from_arrays({"something": np.zeros(3)})
