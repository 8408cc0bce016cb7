"""One regression over a sample's features, its words and its state, on samples whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from predictors.errors import BundleError, FitError
from predictors.joint_probe import JointProbe, fit_joint_probe
from predictors.observation import Piece

A, B, C = Piece("prompt_last", 3, 4), Piece("answer_mean", 3, 6), Piece("answer_mean", 5, 6)
Drawn = tuple[np.ndarray, list[np.ndarray], np.ndarray, np.ndarray]


def drawn(n: int, seed: int, width: int = 10) -> Drawn:
    """A feature, a word and a direction of the state, of which each tells a third."""
    rng = np.random.default_rng(seed)
    x, states = rng.normal(size=(n, 5)).astype(np.float32), rng.normal(size=(n, width)).astype(np.float32)
    said = rng.random(n) < 0.5
    words = [np.array(sorted({7 if one else 8, *rng.integers(10, 60, 5).tolist()})) for one in said]
    margin = 1.5 * x[:, 2] + 1.5 * states[:, 1] + 3.0 * (said - 0.5)
    return x, words, states, (rng.random(n) < 1 / (1 + np.exp(-margin))).astype(float)


def fitted(n: int = 600, seed: int = 0, width: int = 10, pieces: tuple[Piece, ...] = (A, B)) -> JointProbe:
    x, words, states, y = drawn(n, seed, width)
    return fit_joint_probe(x, words, states, pieces, y, np.ones(n))


def order(p: np.ndarray, y: np.ndarray) -> float:
    return float((p[y == 1][:, None] > p[y == 0]).mean())


@pytest.fixture(scope="module")
def probe() -> JointProbe:
    return fitted()


def test_it_finds_what_features_words_and_state_tell_and_each_is_worth_something(probe: JointProbe):
    x, words, states, y = drawn(800, 1)
    together = order(probe.many(x, words, states), y)
    assert together > 0.85
    nowhere = [np.array([9])] * len(y)
    for less in (
        (np.zeros_like(x), words, states),
        (x, nowhere, states),
        (x, words, np.zeros_like(states)),
    ):
        assert order(probe.many(*less), y) < together - 0.03


def test_a_thousand_numbers_of_noise_drown_neither_feature_nor_words():
    x, words, states, y = drawn(800, 1, 1000)
    states[:, 1] = 0.0
    assert order(fitted(150, 0, 1000, ()).many(x, words, states), y) > 0.72


def test_probabilities_mean_what_they_say(probe: JointProbe):
    x, words, states, y = drawn(3000, 2)
    p = probe.many(x, words, states)
    for lo, hi in ((0.0, 0.25), (0.25, 0.75), (0.75, 1.0)):
        part = (p >= lo) & (p < hi)
        assert abs(p[part].mean() - y[part].mean()) < 0.08


def test_weights_count_by_their_ratio_alone():
    x, words, states, y = drawn(100, 0)
    once, thrice = (fit_joint_probe(x, words, states, (), y, np.full(100, one)) for one in (1.0, 3.0))
    assert np.allclose(once.many(x, words, states), thrice.many(x, words, states), atol=1e-6)


def test_one_sample_is_judged_as_among_many_to_the_last_bit_and_so_by_what_is_read_back(probe: JointProbe):
    x, words, states, _ = drawn(50, 3)
    together = probe.many(x, words, states)
    again = JointProbe.from_arrays(probe.arrays(), 5)
    assert again.pieces == (A, B)
    for at in range(50):
        assert probe.one(x[at], words[at], states[at], (A, B)) == together[at]
        longer = np.concatenate([np.zeros(6, np.float32), states[at]])
        assert again.one(x[at], words[at], longer, (C, A, B)) == together[at]
    assert probe.one(x[0], words[0], states[0], (B, C)) is None
    assert probe.one(x[0], words[0], np.zeros(11), ()) is None


def test_states_that_are_all_equal_or_not_finite_and_answers_without_words_are_no_evidence(probe: JointProbe):
    x, words, states, y = drawn(300, 0)
    nothing = [np.zeros(0, dtype=np.int64)] * 300
    found = fit_joint_probe(x, nothing, np.full((300, 10), 2.5, np.float32), (), y, np.ones(300))
    assert not found.state.coef.any()
    assert order(found.many(x, nothing, states), y) > 0.65
    states[:, 1] = np.nan
    assert np.isfinite(probe.many(x, words, states)).all()
    assert np.isfinite(fit_joint_probe(x, words, states, (), y, np.ones(300)).many(x, words, states)).all()


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_of_one_class_alone_it_says_so_of_all(label: float):
    x, words, states, _ = drawn(100, 0)
    p = fit_joint_probe(x, words, states, (), np.full(100, label), np.ones(100)).many(x, words, states)
    assert np.abs(p - label).max() < 0.05


def test_what_does_not_fit_together_is_refused(probe: JointProbe):
    x, words, states, y = drawn(50, 0)
    for wrong in (
        (x, words[:9], states),
        (x, words, states[:9]),
        (x, words, states[:, :0]),
        (x[:9], words, states),
    ):
        with pytest.raises(FitError):
            fit_joint_probe(*wrong, (), y, np.ones(50))
    with pytest.raises(ValueError, match=r"fitted on \(n, 5\)"):
        probe.many(x[:, :4], words, states)
    kept = probe.arrays()
    for broken in (
        replace(probe, pieces=(A,)).arrays(),
        kept | {"row/mean": np.zeros(3)},
        {name: array for name, array in kept.items() if name != "state/coef"},
        {name: array for name, array in kept.items() if not name.startswith("words")},
    ):
        with pytest.raises(BundleError):
            JointProbe.from_arrays(broken, 5)
    with pytest.raises(BundleError, match="rows of 6"):
        JointProbe.from_arrays(kept, 6)
