"""The certificate keeps its promise on known truths, peeking after every sample."""

from __future__ import annotations

import numpy as np
import pytest

from predictors.observation import Message, Observation, Part, Query, Tally
from router.domain.verdict import Action
from router.errors import ConfigError
from router.stopping.majority_certificate import MajorityCertificate, log_e_value

QUERY = Query(request_id="r", messages=(Message("user", (Part(text="?"),)),))
RUNS, LENGTH = 2_000, 100


def certified_wrongly(shares: tuple[float, ...], epsilon: float, seed: int) -> float:
    """Share of runs in which an answer that is not the unique mode is certified at some time."""
    draws = np.random.default_rng(seed).choice(len(shares), size=(RUNS, LENGTH), p=shares)
    counts = np.cumsum(draws[:, :, None] == np.arange(len(shares)), axis=1)  # (runs, time, classes)
    ranked = np.sort(counts, axis=2)
    table = np.array([[log_e_value(a, b) for b in range(LENGTH + 1)] for a in range(LENGTH + 1)])
    fires = table[ranked[:, :, -1], ranked[:, :, -2]] >= -np.log(epsilon)
    first = np.where(fires.any(axis=1), fires.argmax(axis=1), -1)
    leader = counts[np.arange(RUNS), first].argmax(axis=1)
    mode_is_unique = sum(share == max(shares) for share in shares) == 1
    wrong = (first >= 0) & (~(leader == int(np.argmax(shares))) | (not mode_is_unique))
    return float(wrong.mean())


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.45, 0.45, 0.1), (1 / 3,) * 3, (0.2,) * 5, (0.51, 0.49)])
@pytest.mark.parametrize("epsilon", [0.05, 0.2])
def test_a_wrong_certificate_is_as_rare_as_promised(shares, epsilon):
    allowed = epsilon + 2 * np.sqrt(epsilon * (1 - epsilon) / RUNS)
    assert certified_wrongly(shares, epsilon, seed=7) <= allowed


def test_it_fires_on_a_clear_mode():
    assert certified_wrongly((0.2, 0.8), 0.05, seed=7) < 0.01
    rule = MajorityCertificate()
    assert rule.verdict(Observation(QUERY, tally=Tally((70, 10), ("a", "b"), 80)), {}).action is Action.ENOUGH


@pytest.mark.parametrize(("votes", "action"), [(7, Action.MORE), (8, Action.ENOUGH)])
def test_eight_equal_answers_are_the_fewest_at_five_percent(votes, action):
    rule = MajorityCertificate(epsilon=0.05)
    assert rule.verdict(Observation(QUERY, tally=Tally((votes,), ("a",), votes)), {}).action is action


def test_the_runner_up_has_the_smallest_e_value():
    for a in range(1, 30):
        values = [log_e_value(a, b) for b in range(a + 1)]
        assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("epsilon", [0.0, 1.0, -0.1, float("nan")])
def test_an_epsilon_outside_zero_and_one_is_refused(epsilon):
    with pytest.raises(ConfigError, match="epsilon must lie between 0 and 1"):
        MajorityCertificate(epsilon=epsilon)
