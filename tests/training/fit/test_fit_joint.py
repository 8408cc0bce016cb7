"""Many backends share their trees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from predictors.bundle_files import load_bundle, save_bundle
from predictors.errors import BundleError
from predictors.joint_trees import JointTrees
from training.fit.heads import fit_held_out
from training.fit.rows import FitRows

SKILL = np.array([0.1, 0.3, 0.5, 0.7, 0.9])


def many_backends(count: int, seed: int) -> FitRows:
    """Five backends; hard queries cost each of them .4 of what it is right on, and make answers long."""
    rng = np.random.default_rng(seed)
    hard = rng.random(count) < 0.5
    texts = tuple(
        f"Find the {'determinant of matrix' if one else 'sum of'} {rng.integers(100_000)}" for one in hard
    )
    truth = SKILL[None] * np.where(hard, 0.6, 1.0)[:, None]
    reward = (rng.random((count, 5)) < truth).astype(np.float64)
    reward[rng.random((count, 5)) < 0.1] = np.nan
    tokens = np.where(hard, 300.0, 30.0)[:, None] * np.arange(1, 6) * rng.uniform(0.9, 1.1, (count, 5))
    return FitRows(
        texts, tuple("abcde"), reward, np.full((count, 5), np.nan), tokens, np.zeros((count, 5), dtype=bool)
    )


@pytest.fixture(scope="module")
def fitted():
    return fit_held_out(many_backends(400, 0), with_samples=False)


def test_they_say_which_backend_is_right_on_which_query(fitted):
    signals = fitted.bundle.look_many(["Find the determinant of matrix 17", "Find the sum of 17"])
    hard, easy = (np.array([signals[f"p_correct/{name}"][place] for name in "abcde"]) for place in (0, 1))
    assert np.abs(easy - SKILL).mean() < 0.1
    assert np.abs(hard - 0.6 * SKILL).mean() < 0.1


def test_they_say_how_long_answers_will_be(fitted):
    signals = fitted.bundle.look_many(["Find the determinant of matrix 17", "Find the sum of 17"])
    for place, name in enumerate("abcde", 1):
        assert signals[f"tokens_out/{name}"] == pytest.approx([300 * place, 30 * place], rel=0.25)


def test_gains_are_differences_without_heads_of_their_own(fitted):
    signals = fitted.bundle.look_many(["Find the sum of 17"])
    assert fitted.bundle.card.pairs == ()
    assert signals["gain/e/a"] == pytest.approx(signals["p_correct/e"] - signals["p_correct/a"])


def test_the_bundle_is_read_back_to_the_last_bit(fitted, tmp_path):
    save_bundle(fitted.bundle, tmp_path / "bundle")
    texts = ["Find the sum of 17", "", "something else"]
    found, expected = load_bundle(tmp_path / "bundle").look_many(texts), fitted.bundle.look_many(texts)
    assert all((found[name] == expected[name]).all() for name in expected)


def test_trees_for_other_backends_are_refused(fitted):
    joint = fitted.bundle.query_heads.joint
    with pytest.raises(BundleError, match="joint trees"):
        JointTrees.from_arrays(joint.arrays(), 6, fitted.bundle.query_heads.joint.rewards.columns - 10)


def test_a_backend_with_three_labels_stays_near_its_rate(fitted):
    rows = fitted.rows
    reward = rows.reward.copy()
    reward[3:, 2] = np.nan
    reward[:3, 2] = 1.0
    bundle = fit_held_out(replace(rows, reward=reward), with_samples=False).bundle
    signals = bundle.look_many(["Find the sum of 17"])
    assert signals["p_correct/c"] == pytest.approx([3.5 / 4])
