"""Improbable paths are told from probable ones, and a few or equal paths are left alone."""

from __future__ import annotations

import numpy as np
import pytest

from predictors.observation import Sample, Tally
from router.selectors.path_probability import PathProbability
from router.selectors.path_pruning import expected_log, kept_paths, weibull


def test_the_parameters_of_a_weibull_sample_are_found_again():
    drawn = 3.0 * np.random.default_rng(1).weibull(1.7, 20_000)
    shape, log_scale = weibull(np.log(drawn), np.ones(len(drawn)))
    assert shape == pytest.approx(1.7, rel=0.03)
    assert np.exp(log_scale) == pytest.approx(3.0, rel=0.03)
    assert expected_log((shape, log_scale)) == pytest.approx(np.log(drawn).mean(), abs=0.01)


def test_two_groups_far_apart_are_told_apart():
    rng = np.random.default_rng(2)
    high, low = np.log(rng.weibull(2.0, 30)), np.log(rng.weibull(2.0, 20)) - 12.0
    kept = kept_paths([*high.tolist(), *low.tolist()])
    assert sum(kept[:30]) >= 27
    assert sum(kept[30:]) == 0


def test_a_path_of_mean_probability_always_stays():
    rng = np.random.default_rng(3)
    for _ in range(50):
        logs = (-5 * rng.random(8)).tolist()
        kept = kept_paths(logs)
        assert any(kept)
        mean = np.mean(np.exp(logs))
        assert all(keep for keep, log in zip(kept, logs, strict=True) if np.exp(log) >= mean)


@pytest.mark.parametrize("logs", [[-1.0], [-1.0, -50.0, -3.0, -9.0], [-2.0] * 9, [-1e6] * 6, [0.0] * 5])
def test_few_or_equal_paths_are_all_kept(logs):
    assert kept_paths(logs) == [True] * len(logs)


def test_pruning_takes_the_votes_of_improbable_paths():
    """Seven unlikely paths to b against two likely ones to a: their sum would not matter, their like is gone."""
    logs = [-0.1, -0.12, -0.9, -0.91, -0.92, -0.93, -0.94, -0.95, -0.96]
    samples = [
        Sample(
            f"0.{i}",
            "s",
            text=f"t{i}",
            answer="ab"[i > 1],
            answer_class=int(i > 1),
            mean_logprob=log,
            tokens_out=1,
        )
        for i, log in enumerate(logs)
    ]
    tally = Tally((2, 7), ("a", "b"), 9)
    assert PathProbability(prune=False).select(samples, tally, {}).samples[0].answer == "b"
    assert PathProbability().select(samples, tally, {}).samples[0].answer == "a"


def test_a_path_that_was_drawn_twice_counts_once():
    twice = [
        Sample(f"0.{i}", "s", text="same", answer_class=0, mean_logprob=-0.5, tokens_out=1) for i in range(3)
    ]
    other = Sample("0.9", "s", text="other", answer_class=1, mean_logprob=-0.3, tokens_out=1)
    assert PathProbability().select([*twice, other], Tally((3, 1), ("a", "b"), 4), {}).samples[0] is other
