"""The risk that was really run, estimated from shadow runs."""

from __future__ import annotations

import numpy as np
import pytest

from training.figures.realised_risk import realised_risk


def drawn(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Losses on 8 % of the queries, more often where shadow runs are rare: a plain mean would be too low."""
    hard = rng.random(n) < 0.4
    loss = (rng.random(n) < np.where(hard, 0.17, 0.02)).astype(float)
    chance = np.where(hard, 0.15, 0.5)
    return rng.random(n) < chance, chance, loss


def test_it_is_unbiased_and_its_interval_holds_the_truth() -> None:
    rng = np.random.default_rng(0)
    truth = 0.4 * 0.17 + 0.6 * 0.02
    found = [realised_risk(*drawn(rng, 2000)) for _ in range(400)]
    means = [one.mean for one in found if one is not None]
    assert len(means) == 400
    assert np.mean(means) == pytest.approx(truth, abs=0.003)
    held = np.mean([one is not None and one.lo <= truth <= one.hi for one in found])
    assert 0.92 <= held <= 0.98


def test_a_plain_mean_of_the_runs_would_be_wrong() -> None:
    ran, _, loss = drawn(np.random.default_rng(1), 100_000)
    assert loss[ran].mean() < 0.06  # the truth is .08


def test_losses_that_were_not_seen_are_not_looked_at() -> None:
    ran, chance, loss = drawn(np.random.default_rng(2), 2000)
    hidden = np.where(ran, loss, np.nan)
    assert realised_risk(ran, chance, hidden) == realised_risk(ran, chance, loss)


def test_without_shadow_runs_the_figure_is_absent_and_not_nought() -> None:
    assert realised_risk(np.zeros(500, bool), np.full(500, 0.1), np.full(500, np.nan)) is None


def test_where_everything_was_run_it_is_the_share_of_losses() -> None:
    loss = np.array([1.0, 0.0, 0.0, 0.0] * 25)
    found = realised_risk(np.ones(100, bool), np.ones(100), loss)
    assert found is not None
    assert found.mean == 0.25
