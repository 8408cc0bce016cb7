"""The certificate keeps its promise on known truths, peeking after every sample."""

from __future__ import annotations

import os

import numpy as np
import pytest

from router.errors import ConfigError
from router.stopping.majority_certificate import MajorityCertificate, log_e_value
from router.stopping.vote_replay import stops

RUNS = int(os.environ.get("APPORTION_NULL_RUNS", "2000"))  # `make certificate` sets 20,000
LENGTH = 200
NULLS = [(0.5, 0.5), (0.45, 0.45, 0.1), (1 / 3,) * 3, (0.2,) * 5, (0.51, 0.49)]


def certified_wrongly(shares: tuple[float, ...], epsilon: float, seed: int) -> float:
    """Share of runs in which an answer that is not the unique mode is certified at some time."""
    classes = np.random.default_rng(seed).choice(len(shares), size=(RUNS, LENGTH + 1), p=shares)
    rule = MajorityCertificate(epsilon)
    wrong = 0
    mode = shares.index(max(shares)) if shares.count(max(shares)) == 1 else -1
    for run, drawn in zip(classes, stops(rule, classes), strict=True):
        counts = np.bincount(run[:drawn])
        # the last sample's stop may be the end of the run
        wrong += drawn <= LENGTH and rule.settled(counts[counts > 0].tolist(), 0) and counts.argmax() != mode
    return wrong / RUNS


@pytest.mark.parametrize("shares", NULLS, ids=str)
@pytest.mark.parametrize("epsilon", [0.05, 0.2])
def test_a_wrong_certificate_is_as_rare_as_promised(shares, epsilon):
    allowed = epsilon + 2 * np.sqrt(epsilon * (1 - epsilon) / RUNS)
    assert certified_wrongly(shares, epsilon, seed=7) <= allowed


def test_the_one_sided_value_would_break_the_promise():
    """The test can fail: twice as easy to reach, the certificate is wrong too often on a tie."""
    assert certified_wrongly((0.5, 0.5), 0.05, seed=7) < 0.05 < certified_wrongly((0.5, 0.5), 0.2, seed=7)


def test_it_fires_on_a_clear_mode():
    classes = np.random.default_rng(7).choice(2, size=(500, 200), p=(0.2, 0.8))
    assert (stops(MajorityCertificate(), classes) < 200).mean() > 0.99
    assert certified_wrongly((0.2, 0.8), 0.05, seed=7) < 0.01


@pytest.mark.parametrize(("votes", "enough"), [(7, False), (8, True)])
def test_eight_equal_answers_are_the_fewest_at_five_percent(votes, enough):
    assert MajorityCertificate(epsilon=0.05).settled((votes,), 0) is enough


def test_the_runner_up_has_the_smallest_e_value():
    for a in range(1, 30):
        values = [log_e_value(a, b) for b in range(a + 1)]
        assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("epsilon", [0.0, 1.0, -0.1, float("nan")])
def test_an_epsilon_outside_zero_and_one_is_refused(epsilon):
    with pytest.raises(ConfigError, match="epsilon must lie between 0 and 1"):
        MajorityCertificate(epsilon=epsilon)
