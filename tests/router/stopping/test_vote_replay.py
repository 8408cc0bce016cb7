"""A replay of many runs stops each where the rule would stop it sample by sample."""

from __future__ import annotations

import numpy as np
import pytest

from predictors.observation import Message, Observation, Part, Query, Sample, Tally
from router.domain.verdict import Action
from router.plugins import resolve
from router.selectors.majority import Majority
from router.stopping import STOPPING_RULES
from router.stopping.by_votes import ByVotes
from router.stopping.lock_in import LockIn
from router.stopping.vote_replay import leaders, stops
from router.stopping.window import Window

QUERY = Query(request_id="r", messages=(Message("user", (Part(text="?"),)),))
BY_VOTES = sorted(
    name for name in STOPPING_RULES if isinstance(resolve("stopping rule", STOPPING_RULES, name)(), ByVotes)
)


def one_by_one(rule, run: list[int], max_samples: int) -> int:
    """Samples drawn where the rule is asked as the allocator asks it."""
    for drawn in range(1, len(run) + 1):
        samples = tuple(
            Sample(f"0.{index}", "small", answer_class=None if number < 0 else number)
            for index, number in enumerate(run[:drawn])
        )
        votes = [number for number in run[:drawn] if number >= 0]
        counts = tuple(votes.count(number) for number in dict.fromkeys(votes))
        seen = Observation(
            QUERY, samples, tally=Tally(counts, tuple(map(str, counts)), drawn), max_samples=max_samples
        )
        if rule.verdict(seen, {}).action is not Action.MORE:
            return drawn
    return len(run)


@pytest.fixture(scope="module")
def runs():
    rng = np.random.default_rng(3)
    shares = rng.dirichlet([2.0, 1.0, 0.5, 0.5], 60)
    drawn = np.array([rng.choice([-1, 0, 1, 2], 12, p=share[[3, 0, 1, 2]]) for share in shares])
    return np.vstack([drawn, np.full((1, 12), -1), np.arange(12)[None], np.zeros((1, 12), int)])


@pytest.mark.parametrize("name", BY_VOTES)
def test_it_stops_every_run_where_the_rule_does(name, runs):
    rule = resolve("stopping rule", STOPPING_RULES, name)()
    assert stops(rule, runs).tolist() == [one_by_one(rule, run, 12) for run in runs.tolist()]


@pytest.mark.parametrize("size", [2, 3, 5])
def test_a_window_over_many_runs_stops_where_the_rule_does(size, runs):
    rule = Window(size)
    assert rule.stops(runs).tolist() == [one_by_one(rule, run, 12) for run in runs.tolist()]


def test_what_the_stage_allows_is_what_is_left(runs):
    assert stops(LockIn(), runs, max_samples=8).tolist() == [
        one_by_one(LockIn(), run, 8) for run in runs[:, :8].tolist()
    ]


def test_the_rules_by_votes_are_there():
    assert {"agreement", "beta", "dirichlet", "entropy", "lock_in", "majority_certificate"} <= set(BY_VOTES)


def test_the_leader_of_many_runs_is_the_majority_of_each(runs):
    drawn = np.arange(len(runs)) % 12 + 1
    answers = leaders(runs, drawn)
    for run, count, answer in zip(runs.tolist(), drawn.tolist(), answers.tolist(), strict=True):
        samples = [
            Sample(f"0.{index}", "small", answer_class=None if number < 0 else number)
            for index, number in enumerate(run[:count])
        ]
        assert Majority().select(samples, Tally(), {}).samples[0] is samples[answer]
