"""The probe on hidden states."""

from __future__ import annotations

import numpy as np
import pytest

from predictors.errors import BundleError, FitError
from predictors.hidden_probe import HiddenProbe
from predictors.linear import Linear


def planted(n: int = 600, width: int = 200, seed: int = 0):
    """States that vary most along a few directions, of which one says what is right."""
    rng = np.random.default_rng(seed)
    directions = np.random.default_rng(7).normal(size=(5, width))
    y = (rng.random(n) < 0.5).astype(float)
    inside = rng.normal(size=(n, 5))
    inside[:, 2] += 2 * y
    return (inside @ directions + 0.5 * rng.normal(size=(n, width))).astype(np.float32), y


@pytest.fixture(scope="module")
def probe():
    x, y = planted()
    return HiddenProbe(directions=16).fit(x, y, np.ones(len(y)), 0)


def share_in_order(p: np.ndarray, y: np.ndarray) -> float:
    return float((p[y == 1][:, None] > p[y == 0]).mean())


def test_what_a_direction_says_is_found(probe):
    x, y = planted(seed=1)
    assert share_in_order(probe.predict(x), y) > 0.85


def test_what_many_weak_directions_say_together_is_found():
    rng = np.random.default_rng(4)
    y = (rng.random(1_200) < 0.5).astype(float)
    loud, quiet = rng.normal(size=(20, 200)), rng.normal(size=(40, 200)) / 10
    said = rng.normal(size=(1_200, 20)) @ loud + (rng.normal(size=(1_200, 40)) + 0.4 * y[:, None]) @ quiet
    x = (said + 0.01 * rng.normal(size=said.shape)).astype(np.float32)
    found = HiddenProbe(directions=16).fit(x[:600], y[:600], np.ones(600), 0)
    assert share_in_order(found.predict(x[600:]), y[600:]) > 0.8
    inside = Linear(penalty=8.0).fit(found.inside(x[:600]), y[:600], np.ones(600), 0)
    assert share_in_order(inside.predict(found.inside(x[600:])), y[600:]) < 0.7


def test_the_penalty_does_not_depend_on_how_rows_are_weighed_in_total():
    x, y = planted(n=100)
    once, thrice = (HiddenProbe(directions=16).fit(x, y, np.full(100, weight), 0) for weight in (1.0, 3.0))
    assert np.allclose(once.predict(x), thrice.predict(x), atol=0.02)


def test_a_probe_of_a_bundle_before_reads_its_main_directions(probe):
    x, y = planted(seed=5)
    linear = Linear(penalty=30.0).fit(probe.inside(x), y, np.ones(len(y)), 0)
    kept = {name: array for name, array in probe.arrays().items() if not name.startswith("whole_")}
    kept |= {f"linear_{name}": array for name, array in linear.arrays().items()}
    old = HiddenProbe.from_arrays(kept)
    assert np.array_equal(old.predict(x), linear.predict(probe.inside(x)))
    assert sorted(old.arrays()) == sorted(kept)


def test_the_basis_is_orthonormal_and_no_wider_than_asked(probe):
    assert probe.basis.shape == (200, 16)
    assert np.allclose(probe.basis.T @ probe.basis, np.eye(16), atol=1e-4)


def test_what_is_read_back_says_the_same(probe):
    x, _ = planted(seed=2)
    assert np.array_equal(HiddenProbe.from_arrays(probe.arrays()).predict(x), probe.predict(x))


def test_values_that_are_not_finite_count_as_the_mean(probe):
    x, y = planted(n=200, seed=3)
    x[::3, 5], x[::4, 6] = np.nan, np.inf
    assert np.isfinite(probe.predict(x)).all()
    assert np.isfinite(HiddenProbe().fit(x, y, np.ones(200), 0).predict(x)).all()


def test_half_precision_states_with_a_constant_column_can_be_fitted():
    x, y = planted(n=100, width=10)
    x[:, 3] = 1.0
    assert share_in_order(HiddenProbe().fit(x.astype(np.float16), y, np.ones(100), 0).predict(x), y) > 0.8


def test_one_class_only_is_not_certainty_about_nonsense():
    x, _ = planted(n=100)
    p = HiddenProbe().fit(x, np.ones(100), np.ones(100), 0).predict(x)
    assert (p > 0.9).all() and (p < 1).all()


def test_shapes_that_do_not_fit_are_named(probe):
    with pytest.raises(ValueError, match=r"\(n, 200\)"):
        probe.predict(np.zeros((2, 3), np.float32))
    with pytest.raises(FitError, match="width >= 1"):
        HiddenProbe().fit(np.zeros((5, 0), np.float32), np.zeros(5), np.ones(5), 0)
    with pytest.raises(BundleError, match="do not fit together"):
        HiddenProbe.from_arrays(probe.arrays() | {"basis": np.zeros((3, 3))})
    with pytest.raises(BundleError, match="are needed"):
        HiddenProbe.from_arrays({})
