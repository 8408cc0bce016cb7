"""What a gain is worth at a level: a known truth is found, noise is left alone, one row and many say the same."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from predictors.errors import BundleError
from predictors.gain_levels import TERMS, GainLevels, GainLevelsFit, fit_gain_levels

Floats = NDArray[np.float64]

PAIR = ((1, 0),)  # the large backend's gain over the small one


def fitted(heads: Floats, reward: Floats, folds: NDArray[np.int64]) -> GainLevelsFit:
    found = fit_gain_levels(heads, PAIR, reward, folds)
    assert found is not None
    return found


def world(seed: int, count: int, bends: float) -> tuple[Floats, Floats, Floats, NDArray[np.int64]]:
    """Heads that promise half of each backend's reward and a gain; what comes true falls with the level by `bends`."""
    rng = np.random.default_rng(seed)
    level, gain = rng.uniform(0.2, 0.8, count), rng.uniform(-0.1, 0.3, count)
    right = np.column_stack([level - gain / 2, level + gain / 2])
    heads = np.column_stack([right, (gain + 1) / 2])
    true = gain + bends * (0.5 - level) + 2 * bends * (level - 0.5) * (gain - 0.1)
    share = np.clip(np.column_stack([level - true / 2, level + true / 2]), 0, 1)
    reward = (rng.random((count, 2)) < share).astype(float)
    return heads, reward, true, rng.integers(5, size=count)


def error(said: Floats, true: Floats) -> float:
    return float(np.mean((2 * said - 1 - true) ** 2))


@pytest.mark.parametrize("seed", range(3))
def test_a_gain_that_falls_with_the_level_is_found(seed):
    heads, reward, true, folds = world(seed, 6000, 0.6)
    found = fitted(heads, reward, folds)
    assert error(found.held_out[:, 0], true) < 0.2 * error(heads[:, 2], true)
    fresh, _, their_true, _ = world(seed + 100, 500, 0.6)
    said = np.array([found.full.of(row)[0] for row in fresh.tolist()])
    assert error(said, their_true) < 0.2 * error(fresh[:, 2], their_true)


def test_where_gains_come_true_next_to_nothing_is_corrected():
    moved = []
    for seed in range(20):
        heads, reward, true, folds = world(seed, 600, 0.0)
        found = fit_gain_levels(heads, PAIR, reward, folds)
        moved.append(0.0 if found is None else error(found.held_out[:, 0], true))
    assert sum(one == 0.0 for one in moved) >= 8
    assert np.mean(moved) < 0.001  # a gain has a variance of .013


def test_held_out_gains_have_not_seen_their_own_part():
    heads, reward, _, folds = world(5, 4000, 0.6)
    found = fitted(heads, reward, folds)
    some = np.flatnonzero(folds == 2)[:10]  # few, so that the penalty stays
    other = reward.copy()
    other[some] = 1 - other[some]
    again = fitted(heads, other, folds)
    mine = folds == 2
    assert (found.held_out[mine] == again.held_out[mine]).all()
    assert not (found.held_out[~mine] == again.held_out[~mine]).all()


def test_unknown_rewards_are_left_out_and_their_rows_corrected():
    heads, reward, _, folds = world(6, 3000, 0.6)
    reward[:1000] = np.nan
    found = fitted(heads, reward, folds)
    assert np.isfinite(found.held_out).all()
    assert (found.held_out[:1000, 0] != heads[:1000, 2]).any()


@pytest.mark.parametrize("count", [0, 1, 4, 12])
def test_too_few_rows_correct_nothing(count):
    heads, reward, _, folds = world(7, count, 0.6)
    found = fit_gain_levels(heads, PAIR, reward, folds)
    assert found is None or np.isfinite(found.held_out).all()


def test_all_rewards_unknown_or_equal_correct_nothing():
    heads, reward, _, folds = world(8, 300, 0.6)
    assert fit_gain_levels(heads, PAIR, np.full_like(reward, np.nan), folds) is None
    same = np.repeat([[0.4, 0.6, 0.6]], 300, axis=0)
    assert fit_gain_levels(same, PAIR, np.full_like(reward, 1.0), folds) is None


def test_a_pair_that_is_not_corrected_says_the_mean_of_both_ways():
    levels = GainLevels(((0, 1), (0, 2), (1, 2)), np.zeros((3, TERMS)))
    heads = [0.9, 0.5, 0.2, 0.8, 0.7, 0.55]
    assert levels.of(heads) == pytest.approx(
        [(g / 2 + d + 1) / 2 for g, d in ((0.4, 0.3), (0.7, 0.2), (0.3, 0.05))]
    )


def test_what_was_learned_is_kept_and_checked():
    heads, reward, _, folds = world(9, 4000, 0.6)
    levels = fitted(heads, reward, folds).full
    read = GainLevels.from_arrays(levels.arrays(), 2, 1)
    assert read.of(heads[0].tolist()) == levels.of(heads[0].tolist())
    with pytest.raises(BundleError, match="2 are expected"):
        GainLevels.from_arrays(levels.arrays(), 2, 2)
    with pytest.raises(BundleError, match="has number 1"):
        GainLevels.from_arrays(levels.arrays(), 1, 1)
