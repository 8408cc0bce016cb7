"""A recording as a population of queries whose outcomes under every backend are known: the truth that a log hides.

35 % of the queries (by hash of the text) train what the policies believe. The target takes the best predicted quality
minus lambda times cost, lambda at half of the best single backend's cost; the base takes the cheapest backend where the
mean predicted quality is above its median, else the best. At most six backends, evenly spaced by cost.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from predictors.features import QueryFeatures
from router.recording import Recording
from router.recordings.text_split import split_by_text
from training.errors import NotEnoughData
from training.suites.routing.learned import Learned, learn
from training.suites.routing.problem import Fold, Problem, routing_problem
from training.utility_rule import best_plan

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TRAIN = 0.35
MOST_BACKENDS = 6
COMPONENTS = 24  # of the served features, that are logged beside the expectations
FARTHEST = 4.0  # standard deviations
FEWEST = 50  # queries of the population
PRICES = 800  # tried to find lambda


@dataclass(frozen=True, slots=True)
class Samples:
    """What was recorded: the cell of query i and backend b has `many[i, b]` samples from `first[i, b]` on."""

    first: Ints = field(compare=False)  # (N, B)
    many: Ints = field(compare=False)  # (N, B)
    reward: Floats = field(compare=False)  # (samples,)
    cost: Floats = field(compare=False)  # (samples,) dollars
    latency: Floats = field(compare=False)  # (samples,) seconds


@dataclass(frozen=True, slots=True)
class World:
    """N queries, B backends. `served` holds everything that the service knows of a query before it is asked."""

    name: str
    backends: tuple[str, ...]
    features: Floats = field(compare=False)  # (N, d) as logged: expectations, and components of `served`
    served: Floats = field(compare=False)  # (N, r) standardised
    expected: Floats = field(compare=False)  # (N, B) predicted reward
    expected_cost: Floats = field(compare=False)  # (N, B) dollars
    reward: Floats = field(compare=False)  # (N, B) mean over the recorded samples
    cost: Floats = field(compare=False)  # (N, B) dollars, the same
    samples: Samples = field(compare=False)
    task: NDArray[np.str_] = field(compare=False)  # (N,)
    base: Ints = field(compare=False)  # (N,) the logging policy without its exploration
    target: Ints = field(compare=False)  # (N,) the policy to be evaluated
    price: float  # lambda, quality per dollar

    def __len__(self) -> int:
        return len(self.reward)

    @property
    def truth(self) -> float:
        """The target's mean reward over the population."""
        return float(self.reward[np.arange(len(self)), self.target].mean())


def world_of(recording: Recording, seed: int) -> World:
    """Split, fit, choose both policies. Raises `NotEnoughData` for one backend or too few queries."""
    problem = routing_problem(recording, seed)
    part = split_by_text(problem.texts, (TRAIN, 1 - TRAIN), seed)
    fold = Fold(problem, 0, np.flatnonzero(part == 0), np.flatnonzero(part == 1))
    if len(fold.test) < FEWEST:
        raise NotEnoughData(
            f"ope needs {FEWEST} queries besides those that train; {recording.name} has {len(fold.test)}"
        )
    if not len(fold.train):
        raise NotEnoughData(
            f"ope needs texts that can be split; those of {recording.name} are all in one part"
        )
    learned = learn(fold, fold.train)
    kept = evenly_by_cost(problem.cost[fold.train].mean(axis=0))
    served = _served(learned, [problem.texts[place] for place in fold.test])
    return _world(fold, learned, kept, served)


def evenly_by_cost(cost: Floats) -> Ints:
    """At most six backends (B,), evenly spaced in the order of their mean cost; in the recording's order."""
    order = np.argsort(cost, kind="stable")
    if len(order) <= MOST_BACKENDS:
        return np.arange(len(order))
    return np.sort(order[np.round(np.linspace(0, len(order) - 1, MOST_BACKENDS)).astype(np.int64)])


def price_at_cost(quality: Floats, cost: Floats, limit: float) -> float:
    """The least lambda at which the best plans (n, B) are expected to cost no more than `limit` on average.

    Where even the cheapest cost more, they are the limit, but for a hundredth: lambda must not grow without bound.
    """
    spread = float(np.ptp(cost, axis=1).mean())
    if spread <= 0:
        return 0.0
    rows, limit = np.arange(len(quality)), max(limit, 1.01 * float(cost.min(axis=1).mean()))
    prices = np.concatenate(([0.0], np.geomspace(1e-4, 1e4, PRICES) / spread))
    for price in prices.tolist():
        if cost[rows, best_plan(quality, cost, price)].mean() <= limit:
            return float(price)
    return float(prices[-1])


def _served(learned: Learned, texts: list[str]) -> tuple[Floats, Floats]:
    """The heads' rows of the training queries (held out) and of others, standardised by the former."""
    bundle = learned.fitted.bundle
    of_text: list[QueryFeatures] = [bundle.featurizer.of_text(text) for text in texts]
    other = np.array([bundle.query_heads.predict(features)[1] for features in of_text], dtype=np.float64)
    train = np.asarray(learned.fitted.query.x, dtype=np.float64)
    mean, scale = train.mean(axis=0), train.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    return (
        np.clip((train - mean) / scale, -FARTHEST, FARTHEST),
        np.clip((other - mean) / scale, -FARTHEST, FARTHEST),
    )


def _world(fold: Fold, learned: Learned, kept: Ints, served: tuple[Floats, Floats]) -> World:
    problem, expected = fold.problem, learned.estimates
    names = tuple(problem.backends[place] for place in kept)
    train, test = fold.train, fold.test
    mean_cost, mean_reward = (
        problem.cost[train][:, kept].mean(axis=0),
        problem.reward[train][:, kept].mean(axis=0),
    )
    cheapest = int(np.argmin(mean_cost))
    best = int(np.lexsort((mean_cost, -mean_reward))[0])
    train_quality, quality = expected.train_quality[:, kept], expected.test_quality[:, kept]
    price = price_at_cost(train_quality, expected.train_cost[:, kept], mean_cost[best] / 2)
    directions = np.linalg.svd(served[0], full_matrices=False)[2][:COMPONENTS]
    tokens = np.log1p(np.stack([learned.signals[f"tokens_out/{name}"] for name in names], axis=1))
    above = quality.mean(axis=1) > np.median(train_quality.mean(axis=1))
    return World(
        name=problem.recording.name,
        backends=names,
        features=np.hstack([quality, tokens, served[1] @ directions.T]),
        served=served[1],
        expected=quality,
        expected_cost=expected.test_cost[:, kept],
        reward=problem.reward[test][:, kept],
        cost=problem.cost[test][:, kept],
        samples=_samples(problem, test, names),
        task=np.array([problem.tasks[place] for place in test]),
        base=np.where(above, cheapest, best),
        target=best_plan(quality, expected.test_cost[:, kept], price),
        price=price,
    )


def _samples(problem: Problem, test: Ints, names: tuple[str, ...]) -> Samples:
    """The labelled samples of every cell, one after another."""
    recording = problem.recording
    columns, width = recording.columns, len(recording.backends)
    rows = np.flatnonzero(columns.finished & ~np.isnan(columns.reward))
    cell = columns.query[rows].astype(np.int64) * width + columns.backend[rows]
    rows = rows[np.argsort(cell, kind="stable")]
    cell = np.sort(cell, kind="stable")
    backends = np.array([recording.backends.index(name) for name in names])
    wanted = problem.queries[test][:, None].astype(np.int64) * width + backends
    first = np.searchsorted(cell, wanted)
    return Samples(
        first=first,
        many=np.searchsorted(cell, wanted, side="right") - first,
        reward=columns.reward[rows].astype(np.float64),
        cost=columns.cost[rows].astype(np.float64),
        latency=columns.latency_s[rows].astype(np.float64),
    )
