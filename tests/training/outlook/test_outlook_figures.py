"""The figures of an outlook, in trials whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training.errors import NotEnoughData
from training.outlook.figures import Point, ends_of, point_at

REPETITIONS = 300


def point(trial) -> Point:
    return point_at(trial, ends_of(trial, "large"), 1.0)


def realised(trial, rng) -> tuple[float, float, float, float]:
    """Saving, quality, difference and risk of one drawn plan per query."""
    small = rng.random(len(trial)) < trial.probabilities(1.0)[:, 0]
    cost = np.where(small, trial.cost[:, 0], trial.cost[:, 1])
    reward = np.where(small, trial.reward[:, 0], trial.reward[:, 1])
    lost = np.maximum(0, trial.reward[:, 1] - reward)
    saving = 1 - cost.sum() / trial.cost[:, 1].sum()
    return saving, reward.mean(), (reward - trial.reward[:, 1]).mean(), lost.mean()


@pytest.mark.parametrize("sharp", [False, True])
def test_each_interval_holds_what_as_many_other_queries_realise(truth, sharp):
    held = np.zeros(4)
    for number in range(REPETITIONS):
        found = point(truth.known([1, number], sharp=sharp))
        others = realised(truth.known([2, number], sharp=sharp), np.random.default_rng([3, number]))
        intervals = (found.saving, found.quality, found.difference, found.risk)
        held += [each.lo <= value <= each.hi for each, value in zip(intervals, others, strict=True)]
    assert (held / REPETITIONS >= 0.91).all(), held
    assert (held / REPETITIONS <= 0.995).all(), held  # and not by being too wide


def test_the_figures_are_those_of_the_known_truth(truth):
    found = point(truth.known(0, 40_000))
    # with x uniform: π = .1 + .8x; E[π] = .5, E[π x] = .3167, E[π (.5 + .5x)] = .4083
    assert found.saving.mean == pytest.approx(0.5 * 0.9, abs=0.01)
    assert found.difference.mean == pytest.approx(0.3167 - 0.4083, abs=0.01)
    assert found.quality_reference == pytest.approx(0.75, abs=0.01)
    # lost: large right and small wrong: E[π (.5 + .5x)(1 - x)]
    x = np.linspace(0, 1, 10_001)
    assert found.risk.mean == pytest.approx(np.mean((0.1 + 0.8 * x) * (0.5 + 0.5 * x) * (1 - x)), abs=0.01)
    assert found.shares == {"small": pytest.approx(0.5, abs=0.01), "large": pytest.approx(0.5, abs=0.01)}


def test_the_gain_over_a_mix_is_that_of_knowing_which_queries_are_easy(truth):
    """Sharp: the easier half to small. Small loses .5 - .5x; chance would lose its mean on half of the queries."""
    found = point(truth.known(0, 40_000, sharp=True))
    assert found.over_mix is not None
    assert found.over_mix.mean == pytest.approx(0.5 * 0.25 - 0.5 * 0.125, abs=0.01)


def test_chance_gains_nothing_over_chance(truth):
    found = point(replace(truth.known(0, 40_000), small=np.full(40_000, 0.4)))
    assert found.over_mix is not None
    assert found.over_mix.lo < 0 < found.over_mix.hi


def test_always_the_reference_saves_nothing_and_risks_nothing(truth):
    found = point(replace(truth.known(0), small=np.zeros(200)))
    assert (found.saving.mean, found.difference.mean, found.risk.mean) == (0.0, 0.0, 0.0)
    assert found.risk.hi > 0.01  # no event in 200 queries is not no risk


def test_queries_without_a_label_of_a_plan_that_might_be_drawn_are_left_out(truth):
    trial = truth.known(0)
    trial.reward[:50, 0] = np.nan
    assert point(trial).rows == 150
    trial.reward[:195, 0] = np.nan
    with pytest.raises(NotEnoughData, match="5 queries have a label for every plan"):
        point(trial)


def test_a_reference_that_never_ran_is_named(truth):
    trial = truth.known(0)
    reward = trial.reward.copy()
    reward[:, 1] = np.nan
    with pytest.raises(NotEnoughData, match="'large' has no labelled answer"):
        ends_of(replace(trial, reward=reward), "large")
