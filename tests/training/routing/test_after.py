"""`apportion:after` where a look tells all: what is asked first, and what then."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from router.recording import Recording
from training.suites.routing.after import Looked, decide_looked
from training.suites.routing.operating_points import Estimates
from training.suites.routing.problem import Fold, Problem

N = 800
COST = np.array([1.0, 2.0, 3.0])
HARD = np.arange(N) % 2 == 0  # surely too hard for small; of the others it gets three in five


def made(width: int) -> tuple[Fold, Estimates, Looked]:
    """`small`, `middle` and `large`, or the first and the last; expectations are right, and a look sees the label."""
    rng = np.random.default_rng(3)
    kept = [0, 1, 2] if width == 3 else [0, 2]
    expected = np.stack([np.where(HARD, 0.02, 0.6), np.full(N, 0.7), np.full(N, 0.9)], axis=1)[:, kept]
    reward = (rng.random(expected.shape) < expected).astype(float)
    cost = np.tile(COST[kept], (N, 1))
    recording = cast(Recording, SimpleNamespace(columns=SimpleNamespace(reward=reward.ravel())))
    rows = np.arange(N * width).reshape(N, width)
    names = tuple(("small", "middle", "large")[place] for place in kept)
    problem = Problem(recording, 0, np.arange(N, dtype=np.int32), names, reward, cost, rows, 0)
    train, test = np.arange(N // 2), np.arange(N // 2, N)
    estimates = Estimates(expected[train], cost[train], expected[test], cost[test])
    looked = Looked(reward[train, 0], reward[test, 0], expected[train], expected[test])
    return Fold(problem, 0, train, test), estimates, looked


def asked(decided: Any, point: int) -> list[tuple[int, ...]]:
    return [decided.plans[plan].backends for plan in decided.choice[point]]


@pytest.fixture(scope="module")
def three() -> tuple[Fold, Any]:
    fold, estimates, looked = made(3)
    return fold, decide_looked(fold, estimates, looked)


def test_what_is_surely_too_hard_is_not_asked_of_the_cheapest_first(three: tuple[Fold, Any]) -> None:
    fold, decided = three
    hard = HARD[fold.test]
    firsts = [np.array([path[0] for path in asked(decided, point)]) for point in range(len(decided.points))]
    paid = [first for first in firsts[1:-1] if (first[hard] > 0).all()]  # where more than small is worth it
    assert len(paid) > 5
    assert all((first[~hard] == 0).mean() > 0.9 for first in paid[:-10])


def test_what_looks_wrong_goes_on_and_what_looks_right_is_kept(three: tuple[Fold, Any]) -> None:
    fold, decided = three
    right = fold.problem.reward[fold.test, 0] == 1
    for point in range(1, len(decided.points) - 1):
        for path, is_right in zip(asked(decided, point), right, strict=True):
            if path[0] == 0 and is_right:
                assert path == (0,)
    middle = asked(decided, len(decided.points) // 2)
    assert any(len(path) == 2 for path in middle)


def test_it_earns_more_than_looking_at_all_at_the_same_cost(three: tuple[Fold, Any]) -> None:
    fold, decided = three
    reward, cost = fold.problem.reward[fold.test], COST
    every = np.arange(len(fold.test))
    right = reward[:, 0] == 1
    for place in (1, 2):  # look at all, and what is wrong goes to one
        spent = COST[0] + COST[place] * (~right).mean()
        earned = np.where(right, 1.0, reward[:, place]).mean()
        points = []
        for point in range(len(decided.points)):
            paths = asked(decided, point)
            points.append(
                (
                    np.mean([sum(cost[one] for one in path) for path in paths]),
                    reward[every, [path[-1] for path in paths]].mean(),
                )
            )
        assert max(gain for at, gain in points if at <= spent) > earned - 0.005
        if place == 2:
            assert min(at for at, gain in points if gain >= earned) < spent - 0.2


def test_with_two_backends_all_are_looked_at() -> None:
    fold, estimates, looked = made(2)
    decided = decide_looked(fold, estimates, looked)
    assert {path[0] for point in range(len(decided.points)) for path in asked(decided, point)} == {0}
    shares = [np.mean([len(path) == 2 for path in asked(decided, p)]) for p in range(len(decided.points))]
    assert shares[0] == 0
    assert shares[-1] == 1
    assert np.all(np.diff(shares) >= 0)
