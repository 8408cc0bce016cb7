"""`apportion:after`: ask the cheapest backend where that is worth it, look at what came back, then keep it or go on.

The sample head says how likely the answer is right, from its text, what the model said about its certainty and the
query. What the others would earn *given that* is a linear correction of their own estimate: an answer that looks
wrong is often to a query that is hard for all. With two backends all queries are looked at: the share of answers of
the better one does not count what was asked before. With more a query that is surely too hard is not asked there.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from predictors.observation import Sample
from predictors.sample_head import SampleHead
from training.fit.hop import fit_hop_values
from training.fit.rows import rows_of
from training.suites.routing.decided import Decided, RoutePlan, single_plans
from training.suites.routing.learned import Learned, Signals, ids_of
from training.suites.routing.operating_points import Estimates, decide, price_range, spaced
from training.suites.routing.problem import Fold
from training.utility_rule import best_plan
from training.worth_of_looking import PARTS, worth_of_looking

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Looked:
    """What is expected once the cheapest backend's answer is there; training queries held out."""

    train_right: Floats = field(compare=False)  # (n_train,) P(that answer is right)
    test_right: Floats = field(compare=False)
    train_others: Floats = field(
        compare=False
    )  # (n_train, B) expected reward of each backend; its own unchanged
    test_others: Floats = field(compare=False)


def comes_back(fold: Fold) -> bool:
    """Whether the recording keeps anything of the cheapest backend's answers to look at."""
    seen = fold.problem.recording.columns
    rows = fold.problem.served_row[:, fold.cheapest]
    numbers = (seen.mean_logprob[rows], seen.first_entropy[rows], seen.confidence[rows])
    if (seen.answer[rows] >= 0).any() or any(bool(np.isfinite(values).any()) for values in numbers):
        return True
    return any(bool(fold.problem.recording.value(int(row), "text")) for row in rows[:100])


def decide_after(fold: Fold, learned: Learned) -> Decided | None:
    """None where there is nothing to look at, or it tells nothing."""
    looked = look(fold, learned)
    if looked is None:
        return None
    return decide_looked(fold, learned.estimates, looked)


def look(fold: Fold, learned: Learned) -> Looked | None:
    """What the cheapest backend's served samples say; None without a head that judges them."""
    head = learned.fitted.samples.head
    if head is None:
        return None
    small, problem = fold.cheapest, fold.problem
    name = problem.backends[small]
    folds = learned.fitted.folds
    without = learned.fitted.samples.folds
    rows = problem.served_row[:, small]
    in_training = {int(row.sample.sample_id): row.sample for row in learned.rows.samples}
    seen_train = [in_training[int(row)] for row in rows[learned.train]]
    in_test = {
        int(row.sample.sample_id): row.sample
        for row in rows_of([problem.recording], ids_of(fold, fold.test), recorded_as={name: name}).samples
    }
    seen_test = [in_test[int(row)] for row in rows[fold.test]]
    texts = problem.texts
    train_right = _confidences(
        [without[int(part)] for part in folds],
        seen_train,
        [texts[at] for at in learned.train],
        learned.held_out,
        name,
    )
    test_right = _confidences(
        [head] * len(seen_test), seen_test, [texts[at] for at in fold.test], learned.signals, name
    )
    before = learned.estimates
    values = fit_hop_values(
        problem.backends, small, before.train_quality, train_right[None], problem.reward[learned.train]
    )
    return Looked(
        train_right,
        test_right,
        values.going_on(before.train_quality, train_right),
        values.going_on(before.test_quality, test_right),
    )


def decide_looked(fold: Fold, before: Estimates, looked: Looked) -> Decided:
    """Choose for every test query at every operating point: by share with two backends, by price with more."""
    small = fold.cheapest
    given = Estimates(
        _with(looked.train_others, small, looked.train_right),
        _with(before.train_cost, small, 0.0),  # already paid, whatever is decided now
        _with(looked.test_others, small, looked.test_right),
        _with(before.test_cost, small, 0.0),
        1 - looked.test_right,
    )
    if len(fold.problem.backends) > 2:
        return _by_price(fold, before, given)
    decided = decide(fold, given)
    return replace(decided, plans=_looked_plans(fold))


def _by_price(fold: Fold, before: Estimates, given: Estimates) -> Decided:
    """At each price a look at the cheapest backend's answer, or another backend at once."""
    small, problem, train = fold.cheapest, fold.problem, fold.train
    n, width = len(train), len(problem.backends)
    quality = np.concatenate([before.train_quality, before.test_quality])
    cost = np.concatenate([before.train_cost, before.test_cost])
    then_quality = np.concatenate([given.train_quality, given.test_quality])
    then_cost = np.concatenate([given.train_cost, given.test_cost])
    every, others = np.arange(len(quality)), np.delete(np.arange(width), small)
    part = np.append(fold.rng("look").integers(PARTS, size=n), np.zeros(len(quality) - n, dtype=np.int64))
    gains = _with(problem.reward[train], small, problem.served_reward[train, small])
    further = _with(problem.cost[train], small, 0.0)
    prices = price_range(before)
    paths, spent = [], []
    for price in prices.tolist():
        then = best_plan(then_quality, then_cost, price)
        gave = np.full(len(quality), np.nan)
        gave[:n] = gains[every[:n], then[:n]] - price * further[every[:n], then[:n]]
        direct = others[best_plan(quality[:, others], cost[:, others], price)]
        worth = quality[every, direct] - price * cost[every, direct]
        looks = worth_of_looking(quality[:, small], worth, gave, part) - price * cost[:, small] >= worth
        paths.append(np.where(looks, width + then, direct)[n:])
        asked = np.where(looks, cost[:, small] + then_cost[every, then], cost[every, direct])
        spent.append(float(asked[:n].mean()))
    points, chosen = spaced(fold, before, np.array(spent), lambda at: paths[at])
    kept = np.where(chosen == width + small, small, chosen).astype(np.int16)
    plans = (*single_plans(problem), *_looked_plans(fold))
    return Decided(points, plans, kept, p_small_wrong=given.p_small_wrong)


def _looked_plans(fold: Fold) -> tuple[RoutePlan, ...]:
    """One per backend: the cheapest one alone, each other after it."""
    small, names = fold.cheapest, fold.problem.backends
    return tuple(
        RoutePlan(name, (small,)) if place == small else RoutePlan(f"{names[small]}→{name}", (small, place))
        for place, name in enumerate(names)
    )


def _with(values: Floats, column: int, told: Floats | float) -> Floats:
    """The same with one column replaced."""
    found = values.copy()
    found[:, column] = told
    return found


def _confidences(
    heads: list[SampleHead], samples: list[Sample], texts: list[str], signals: Signals, backend: str
) -> Floats:
    """What each head says of the first sample of its query, (n,)."""
    prior, tokens = signals[f"p_correct/{backend}"], signals[f"tokens_out/{backend}"]
    found = []
    for place, (head, sample) in enumerate(zip(heads, samples, strict=True)):
        found.append(head.alone(sample, texts[place], float(prior[place]), float(tokens[place])))
    return np.array(found)
