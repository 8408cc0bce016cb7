"""What is known in one fold: what every backend, sample and plan is expected to give.

Expectations of training queries come from heads that were fitted without them, as they do for test queries; outcomes
are those of the recording. Subjects may look at outcomes of `train` alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from predictors.errors import FitError
from predictors.hop_values import HopValues
from training.errors import NotEnoughData
from training.fit.heads import fit_held_out
from training.fit.hop import fit_hop_values
from training.fit.rows import rows_of
from training.suites.allocation.plan_values import fit_plan_values
from training.suites.allocation.plays import Played, Shape, play
from training.suites.allocation.problem import ORDERS, Problem
from training.suites.allocation.said import what_samples_say
from training.suites.allocation.shapes import (
    chain,
    firsts,
    front,
    judged_of,
    looked_at,
    shapes_of,
)
from training.suites.routing.learned import expected_costs, held_out_signals, ids_of, qualities
from training.suites.routing.problem import Fold

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Hop:
    """A plan of one backend whose answer is looked at before anything else is asked."""

    plan: int  # into Known.shapes
    first: int  # its backend
    in_hand: Floats = field(compare=False)  # (ORDERS, n) P(its answer is right), as it looks
    going_on: Floats = field(compare=False)  # (ORDERS, n, B) expected reward of each backend, given that
    paths: tuple[int, ...]  # into Known.played: with each backend after it; the plan itself for its own


@dataclass(frozen=True, slots=True)
class Known:
    """n queries, B backends, P plans; (n, ·) arrays are in the problem's order, training and test queries alike."""

    problem: Problem
    fold: Fold
    quality: Floats = field(compare=False)  # (n, B)
    cost: Floats = field(compare=False)  # (n, B) dollars
    front: tuple[int, ...]
    shapes: tuple[Shape, ...]  # the plans, P
    plan_quality: Floats = field(compare=False)  # (n, P)
    plan_cost: Floats = field(compare=False)  # (n, P)
    rewards: Floats = field(compare=False)  # (ORDERS, n, P) outcomes
    costs: Floats = field(compare=False)  # (ORDERS, n, P) dollars
    mean_reward: Floats = field(compare=False)  # (n, P) over the orders
    mean_cost: Floats = field(compare=False)  # (n, P)
    played: Played = field(compare=False)  # the plans, then chains of two backends, in the live order
    hops: tuple[Hop, ...] = ()

    @property
    def train(self) -> NDArray[np.int64]:
        """Places of the training queries."""
        return self.fold.train

    @property
    def test(self) -> NDArray[np.int64]:
        """Places of the test queries."""
        return self.fold.test


def know(problem: Problem, fold: Fold) -> Known:
    """Fit on the training queries. Raises NotEnoughData where nothing can be fitted."""
    ahead = front(problem, fold.train)
    leads = firsts(ahead)
    names = problem.backends
    rows = rows_of([problem.recording], ids_of(fold, fold.train))
    judged = judged_of(problem, ahead)
    try:
        fitted = fit_held_out(
            rows,
            problem.routing.seed,
            with_samples=bool(judged),
            per_fold=True,
            own_heads=frozenset(names[place] for place in judged),
        )
    except FitError as error:
        raise NotEnoughData(f"fold {fold.fold}: {error}") from error
    texts = problem.routing.texts
    held_out, signals = (
        held_out_signals(fitted),
        fitted.bundle.look_many([texts[place] for place in fold.test]),
    )
    quality = _both(fold, qualities(held_out, names), qualities(signals, names))
    cost = _both(
        fold,
        expected_costs(held_out, fold, fold.train, fold.train),
        expected_costs(signals, fold, fold.train, fold.test),
    )
    said = what_samples_say(fold, fitted, held_out, signals, judged)
    shapes = tuple(shapes_of(problem, ahead, judged=said is not None))
    hopping = looked_at(shapes, leads) if said is not None else []
    chains = [
        chain(problem, shapes[plan], other)
        for plan in hopping
        for other in range(len(names))
        if other != shapes[plan].legs[0].backend
    ]
    played = play(problem, (*shapes, *chains), said)
    orders = [played, *(play(problem, shapes, said, order) for order in range(1, ORDERS))]
    rewards = np.stack([one.reward[:, : len(shapes)] for one in orders])
    costs = np.stack([one.cost[:, : len(shapes)] for one in orders])
    mean_reward, mean_cost = rewards.mean(axis=0), costs.mean(axis=0)
    for place, shape in enumerate(shapes):
        if shape.single:  # all samples say more than three orders
            mean_reward[:, place] = problem.reward[:, shape.legs[0].backend]
            mean_cost[:, place] = problem.cost[:, shape.legs[0].backend]
    values = fit_plan_values(shapes, quality, cost, mean_reward, mean_cost, fold)
    hops = tuple(
        _hop(
            problem,
            fold,
            plan,
            shapes[plan].legs[0].backend,
            values[0][:, plan],
            quality,
            np.stack([one.right[:, plan] for one in orders]),
            len(shapes) + turn * (len(names) - 1),
        )
        for turn, plan in enumerate(hopping)
    )
    return Known(
        problem,
        fold,
        quality,
        cost,
        tuple(ahead),
        shapes,
        *values,
        rewards,
        costs,
        mean_reward,
        mean_cost,
        played,
        hops,
    )


def _both(fold: Fold, train: Floats, test: Floats) -> Floats:
    found = np.empty((len(fold.train) + len(fold.test), *train.shape[1:]))
    found[fold.train], found[fold.test] = train, test
    return found


def _hop(
    problem: Problem,
    fold: Fold,
    plan: int,
    first: int,
    before: Floats,
    quality: Floats,
    in_hand: Floats,
    chains: int,
) -> Hop:
    train = fold.train
    quality = quality.copy()
    quality[:, first] = before  # of the plan, of which a surprise is one
    values: HopValues = fit_hop_values(
        problem.backends, first, quality[train], in_hand[:, train], problem.reward[train]
    )
    going_on = np.stack([values.going_on(quality, one) for one in in_hand])
    others = iter(range(chains, chains + len(problem.backends) - 1))
    paths = tuple(plan if place == first else next(others) for place in range(len(problem.backends)))
    return Hop(plan, first, in_hand, going_on, paths)
