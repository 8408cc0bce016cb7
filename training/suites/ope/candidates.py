"""Candidates whose worth is known: bad in the ways that training goes wrong, better by a known amount, exactly equal.

Worth is the mean of reward - price * cost over the world, at full information. `shuffled` learned from labels of other
queries, `leaked` from a feature that gives the answer away and is stale when it serves, `mispriced` believes the
backends' prices the other way round, `inverted` takes what it expects least of. Diluted candidates do what the
incumbent does on all but some queries, so that their loss is as small as wanted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from training.off_policy.logged import Floats, Ints
from training.suites.ope.log import one_hot
from training.suites.ope.world import World
from training.utility_rule import best_plan

PENALTY = 30.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A policy that always takes `choice` (N,), and what it is worth against the incumbent."""

    kind: str
    choice: Ints = field(compare=False)
    gain: float  # per query, true


def worth(world: World, choice: Ints) -> float:
    """The true value of a policy, per query."""
    rows = np.arange(len(world))
    return float((world.reward[rows, choice] - world.price * world.cost[rows, choice]).mean())


def named(world: World, kind: str, choice: Ints) -> Candidate:
    """With its true gain over the incumbent (the world's target)."""
    return Candidate(kind, choice, worth(world, choice) - worth(world, world.target))


def shuffled(world: World, rng: np.random.Generator) -> Ints:
    """Labels were joined to the wrong queries."""
    return _chosen(world, _learned(world.features, world.reward[rng.permutation(len(world))], world.features))


def leaked(world: World, rng: np.random.Generator) -> Ints:
    """The rewards were among its features; when it serves they are another query's."""
    told = np.hstack([world.features, world.reward])
    stale = np.hstack([world.features, world.reward[rng.permutation(len(world))]])
    return _chosen(world, _learned(told, world.reward, stale))


def mispriced(world: World, rng: np.random.Generator) -> Ints:
    """It has the backends' prices in another order, and a little noise in what it expects."""
    width = len(world.backends)
    order = np.roll(np.arange(width), 1 + rng.integers(0, width - 1) if width > 2 else 1)
    noisy = world.expected + rng.normal(0, 0.02, world.expected.shape)
    return best_plan(noisy, world.expected_cost[:, order], world.price)


def inverted(world: World, rng: np.random.Generator) -> Ints:
    """A sign is wrong: it takes what it expects least of."""
    noisy = world.expected + rng.normal(0, 0.02, world.expected.shape)
    return _chosen(world, 1 - noisy)


BAD: dict[str, Callable[[World, np.random.Generator], Ints]] = {
    "shuffled": shuffled,
    "leaked": leaked,
    "mispriced": mispriced,
    "inverted": inverted,
}


def diluted(
    world: World, choice: Ints, gain: float, rng: np.random.Generator, start: Ints | None = None
) -> Ints:
    """`choice` on as many random queries as give this total gain (or loss); on the others `start` (the incumbent's)."""
    start = world.target if start is None else start
    rows = np.arange(len(world))
    value = world.reward - world.price * world.cost
    step = value[rows, choice] - value[rows, start]
    order = rng.permutation(np.flatnonzero(choice != start))
    reached = np.cumsum(step[order]) / len(world)
    past = np.flatnonzero(reached >= gain if gain > 0 else reached <= gain)
    taken = order[: past[0] + 1] if len(past) else order
    mixed = start.copy()
    mixed[taken] = choice[taken]
    return mixed


def better(world: World) -> Ints:
    """What somebody would do who knows every reward: gains are taken from it."""
    return best_plan(world.reward, world.cost, world.price)


def equal(world: World, rng: np.random.Generator, share: float = 0.3) -> Ints:
    """Another policy of the same worth: changes on up to `share` of the queries, their sum kept at 0."""
    rows = np.arange(len(world))
    value = world.reward - world.price * world.cost
    other = (world.target + rng.integers(1, len(world.backends), len(world))) % len(world.backends)
    step = value[rows, other] - value[rows, world.target]
    order = rng.permutation(len(world))[: int(2 * share * len(world))]
    gains, losses = order[step[order] >= 0].tolist(), order[step[order] < 0].tolist()
    mixed, total = world.target.copy(), 0.0
    changed = 0
    while changed < share * len(world) and (losses if total > 0 else gains):
        place = (losses if total > 0 else gains).pop()
        mixed[place] = other[place]
        total += float(step[place])
        changed += 1
    return mixed


def _learned(features: Floats, reward: Floats, served: Floats) -> Floats:
    """Ridge on `features`, asked about `served`, (N, B)."""
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    rows, asked, level = (features - mean) / scale, (served - mean) / scale, reward.mean(axis=0)
    gram = rows.T @ rows + PENALTY * np.eye(rows.shape[1])
    return np.asarray(level + asked @ np.linalg.solve(gram, rows.T @ (reward - level)))


def _chosen(world: World, quality: Floats) -> Ints:
    return best_plan(quality, world.expected_cost, world.price)


def as_policy(world: World, choice: Ints) -> Floats:
    """Probabilities (N, B)."""
    return one_hot(choice, len(world.backends))
