"""What is known in one fold: what every backend, sample and plan is expected to give.

Expectations of training queries come from heads that were fitted without them, as they do for test queries; outcomes
are those of the recording. Subjects may look at outcomes of `train` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from predictors.errors import FitError
from predictors.hop_values import HopValues
from training.errors import NotEnoughData
from training.fit import Fitted, fit_held_out
from training.fit_hop import fit_hop_values
from training.fit_rows import FitRows, rows_of
from training.suites.allocation.plan_values import fit_plan_values
from training.suites.allocation.plays import Played, Shape, play
from training.suites.allocation.problem import ORDERS, Problem
from training.suites.allocation.shapes import chain, firsts, front, shapes_of
from training.suites.routing.learned import expected_costs, held_out_signals, ids_of, qualities
from training.suites.routing.problem import Fold

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Hop:
    """A backend whose answer is looked at before anything else is asked."""

    first: int
    in_hand: Floats = field(compare=False)  # (ORDERS, n) P(its first answer is right), as it looks
    going_on: Floats = field(compare=False)  # (ORDERS, n, B) expected reward of each backend, given that
    paths: tuple[int, ...]  # into Known.played: alone, then with each backend after it; -1: itself


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
    looked = frozenset(names[place] for place in leads)
    try:
        fitted = fit_held_out(
            rows, problem.routing.seed, with_samples=bool(leads), per_fold=True, own_heads=looked
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
    confidence = None
    if fitted.samples.head is not None and leads:
        confidence = _confidences(problem, fold, fitted, rows, held_out, signals, leads)
    shapes = tuple(shapes_of(problem, ahead, confidence=confidence is not None))
    hopping = leads if confidence is not None else []
    chains = [
        chain(problem, first, other) for first in hopping for other in range(len(names)) if other != first
    ]
    played = play(problem, (*shapes, *chains), confidence)
    orders = [played, *(play(problem, shapes, confidence, order) for order in range(1, ORDERS))]
    rewards = np.stack([one.reward[:, : len(shapes)] for one in orders])
    mean_reward = rewards.mean(axis=0)
    mean_cost = np.mean([one.cost[:, : len(shapes)] for one in orders], axis=0)
    for place, shape in enumerate(shapes):
        if shape.single:  # all samples say more than three orders
            mean_reward[:, place] = problem.reward[:, shape.legs[0].backend]
            mean_cost[:, place] = problem.cost[:, shape.legs[0].backend]
    values = fit_plan_values(shapes, quality, cost, mean_reward, mean_cost, fold)
    hops = tuple(
        _hop(problem, fold, first, quality, confidence, len(shapes) + turn * (len(names) - 1))
        for turn, first in enumerate(hopping)
        if confidence is not None
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
    problem: Problem, fold: Fold, first: int, quality: Floats, confidence: Floats | None, chains: int
) -> Hop:
    assert confidence is not None  # noqa: S101 (for the type checker: `know` asks)
    in_hand = confidence[problem.drawn[:, 0, :, first, 0]]  # (ORDERS, n)
    train = fold.train
    values: HopValues = fit_hop_values(
        problem.backends, first, quality[train], in_hand[:, train], problem.reward[train]
    )
    going_on = np.stack([values.going_on(quality, one) for one in in_hand])
    others = iter(range(chains, chains + len(problem.backends) - 1))
    paths = tuple(-1 if place == first else next(others) for place in range(len(problem.backends)))
    return Hop(first, in_hand, going_on, paths)


def _confidences(
    problem: Problem,
    fold: Fold,
    fitted: Fitted,
    rows: FitRows,
    held_out: Mapping[str, Floats],
    signals: Mapping[str, Floats],
    leads: list[int],
) -> Floats:
    """P(right) of every sample of `leads` as the first of its stage, by row; NaN elsewhere; (rows + 1,)."""
    found = np.full(len(problem.recording.columns) + 1, np.nan)
    head, without = fitted.samples.head, fitted.samples.folds
    assert head is not None  # noqa: S101 (for the type checker: `know` asks)
    heads = [without.get(int(part), head) for part in fitted.folds]
    test_rows = rows_of([problem.recording], ids_of(fold, fold.test))
    for some, expected, with_head in (
        (rows, held_out, heads),
        (test_rows, signals, [head] * len(fold.test)),
    ):
        for labelled in some.samples:
            backend = labelled.sample.backend
            if backend in {problem.backends[place] for place in leads} and labelled.sample.finished:
                found[int(labelled.sample.sample_id)] = with_head[labelled.query].alone(
                    labelled.sample,
                    some.texts[labelled.query],
                    float(expected[f"p_correct/{backend}"][labelled.query]),
                    float(expected[f"tokens_out/{backend}"][labelled.query]),
                )
    return found
