"""Rows drawn from a world with replacement, under its base policy mixed with a share of uniform draws."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from training.off_policy.logged import Floats, Ints, LoggedRows
from training.suites.ope.world import World


@dataclass(frozen=True, slots=True)
class Drawn:
    """A log, and which query each row is about."""

    logged: LoggedRows
    query: Ints = field(compare=False)  # (n,) place in the world


def one_hot(choice: Ints, width: int) -> Floats:
    """The probabilities of a policy that always takes `choice` (n,), shape (n, width)."""
    return np.asarray(np.eye(width)[choice])


def explored(policy: Floats, epsilon: float) -> Floats:
    """(1 - epsilon) policy + epsilon uniform, (n, A)."""
    return np.asarray((1 - epsilon) * policy + epsilon / policy.shape[1])


def draw_log(world: World, logging: Floats, n: int, rng: np.random.Generator) -> Drawn:
    """n rows; `logging` (N, B): the logging policy's probabilities for every query of the world."""
    query = rng.integers(0, len(world), n)
    chances = logging[query]
    action = (rng.random(n)[:, None] > chances.cumsum(axis=1)[:, :-1]).sum(axis=1)
    recorded = world.samples
    many = recorded.many[query, action]
    sample = recorded.first[query, action] + (rng.random(n) * many).astype(np.int64)
    nobody = np.full(n, "")
    logged = LoggedRows(
        actions=world.backends,
        plans=world.backends,
        features=world.features[query],
        probabilities=chances,
        action=action,
        reward=recorded.reward[sample],
        cost=recorded.cost[sample],
        latency=recorded.latency[sample],
        time=np.arange(n, dtype=np.float64),
        tenant=nobody,
        task=world.task[query],
        cluster=-1 - np.arange(n),
    )
    return Drawn(logged, query)
