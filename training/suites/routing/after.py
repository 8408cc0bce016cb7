"""`apportion:after`: ask the cheapest backend first, look at what came back, then keep it or ask another one.

The sample head says how likely the answer is right, from its text, what the model said about its certainty and the
query. What the others would earn *given that* is a linear correction of their own estimate: an answer that looks
wrong is often to a query that is hard for all.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from predictors.observation import Sample, Tally
from predictors.sample_head import SampleHead
from training.fit_rows import rows_of
from training.suites.routing.decided import Decided, RoutePlan
from training.suites.routing.learned import Learned, Signals, ids_of
from training.suites.routing.operating_points import Estimates, decide
from training.suites.routing.problem import Fold

Floats = NDArray[np.float64]
PENALTY = 10.0  # rows; of the correction's coefficients


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
        for row in rows_of([problem.recording], ids_of(fold, fold.test)).samples
    }
    seen_test = [in_test[int(row)] for row in rows[fold.test]]
    texts = problem.texts
    right_train = _confidences(
        [without[int(part)] for part in folds],
        seen_train,
        [texts[at] for at in learned.train],
        learned.held_out,
        name,
    )
    right_test = _confidences(
        [head] * len(seen_test), seen_test, [texts[at] for at in fold.test], learned.signals, name
    )
    before = learned.estimates
    train_quality, test_quality = before.train_quality.copy(), before.test_quality.copy()
    train_quality[:, small], test_quality[:, small] = right_train, right_test
    for place in range(len(problem.backends)):
        if place != small:
            given = (before.train_quality[:, place], right_train, before.train_quality[:, small])
            beta = _ridge(_inputs(*given), problem.reward[learned.train, place] - given[0])
            train_quality[:, place] += _inputs(*given) @ beta
            given = (before.test_quality[:, place], right_test, before.test_quality[:, small])
            test_quality[:, place] += _inputs(*given) @ beta
    train_cost, test_cost = before.train_cost.copy(), before.test_cost.copy()
    train_cost[:, small] = test_cost[:, small] = 0.0  # already paid, whatever is decided now
    decided = decide(fold, Estimates(train_quality, train_cost, test_quality, test_cost, 1 - right_test))
    plans = tuple(
        RoutePlan(
            backend if place == small else f"{name}→{backend}", (small,) if place == small else (small, place)
        )
        for place, backend in enumerate(problem.backends)
    )
    keep = (
        slice(None, -1) if decided.points[-1] == "best" else slice(None)
    )  # it cannot go to the best at once
    return Decided(decided.points[keep], plans, decided.choice[keep], p_small_wrong=decided.p_small_wrong)


def _confidences(
    heads: list[SampleHead], samples: list[Sample], texts: list[str], signals: Signals, backend: str
) -> Floats:
    """What each head says of the first sample of its query, (n,)."""
    prior, tokens = signals[f"p_correct/{backend}"], signals[f"tokens_out/{backend}"]
    found = []
    for place, (head, sample) in enumerate(zip(heads, samples, strict=True)):
        voted, tally = _alone(sample)
        found.append(head.predict(voted, texts[place], tally, 0, float(prior[place]), float(tokens[place])))
    return np.array(found)


def _alone(sample: Sample) -> tuple[Sample, Tally]:
    """The sample with its own vote as the only one, as the allocator counts a first sample."""
    if sample.answer is None:
        return sample, Tally(drawn=1)
    return replace(sample, answer_class=0), Tally((1,), (sample.answer,), 1)


def _inputs(own: Floats, right: Floats, expected: Floats) -> Floats:
    """Columns of the correction: its own estimate, what came back, what was expected of that; shape (n, 5)."""
    return np.stack([np.ones(len(own)), own, right, right - expected, own * right], axis=1)


def _ridge(x: Floats, y: Floats) -> Floats:
    penalty = PENALTY * np.diag(np.append(0.0, x[:, 1:].var(axis=0) + 1e-9))
    return np.asarray(np.linalg.solve(x.T @ x + penalty, x.T @ y), dtype=np.float64)
