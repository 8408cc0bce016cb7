"""What the project's own predictors expect of every backend: the fit of `training fit`, with held-out predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from predictors.errors import FitError
from predictors.observation import Query
from router.backends.recorded import QUERY_ID
from router.recordings.cost import CHARS_PER_TOKEN
from training.errors import NotEnoughData
from training.fit.heads import Fitted, fit_held_out
from training.fit.rows import FitRows, rows_of
from training.held_out import HeldOut
from training.suites.routing.operating_points import Estimates
from training.suites.routing.problem import Fold

Floats = NDArray[np.float64]
Signals = Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class Learned:
    """A bundle fitted on training queries, and what it expects. Backends are in the problem's order."""

    train: NDArray[np.int64] = field(compare=False)  # places in the problem that it was fitted on
    rows: FitRows = field(compare=False)  # of these
    fitted: Fitted = field(compare=False)
    # of the training queries, each while it was held out, (n_train,)
    held_out: Signals = field(compare=False)
    signals: Signals = field(compare=False)  # of the test queries, (n_test,)
    estimates: Estimates


def learn(fold: Fold, train: NDArray[np.int64], samples_of: str = "") -> Learned:
    """Fit on `train` (places in the problem) alone; `samples_of`: learn from what came back, to judge this backend's.

    Only the text of a query is looked at, never its task. Raises NotEnoughData where nothing can be fitted.
    """
    problem, looks = fold.problem, bool(samples_of)
    rows = rows_of([problem.recording], ids_of(fold, train), with_samples=looks)
    try:
        fitted = fit_held_out(rows, problem.seed, with_samples=looks, per_fold=looks, own_heads=(samples_of,))
    except FitError as error:
        raise NotEnoughData(f"fold {fold.fold}: {error}") from error
    held_out = held_out_signals(fitted)
    texts = problem.texts
    signals = fitted.bundle.look_many([texts[place] for place in fold.test])
    estimates = Estimates(
        train_quality=qualities(held_out, problem.backends),
        train_cost=expected_costs(held_out, fold, train, train),
        test_quality=qualities(signals, problem.backends),
        test_cost=expected_costs(signals, fold, train, fold.test),
        p_small_wrong=1 - signals[f"p_correct/{problem.backends[fold.cheapest]}"],
    )
    return Learned(train, rows, fitted, held_out, signals, estimates)


def held_out_signals(fitted: Fitted) -> dict[str, Floats]:
    """What is said of each query of the fit by heads that were fitted without it, (n_train,) each."""
    count = len(fitted.rows.texts)
    seen = HeldOut(fitted, {str(place): place for place in range(count)})
    asked = (Query(str(place), (), metadata={QUERY_ID: str(place)}) for place in range(count))
    return _columns([seen.look(query).signals for query in asked])


def ids_of(fold: Fold, places: NDArray[np.int64]) -> list[str]:
    """Query ids of places in the problem."""
    queries = fold.problem.recording.queries
    return [queries[query].query_id for query in fold.problem.queries[places]]


def qualities(signals: Signals, backends: Sequence[str]) -> Floats:
    """Expected reward of each backend, shape (n, B): the numbers that the live forecast compares them by."""
    return np.stack([signals[f"reward/{name}"] for name in backends], axis=1)


def expected_costs(
    signals: Signals, fold: Fold, train: NDArray[np.int64], places: NDArray[np.int64]
) -> Floats:
    """Dollars, shape (n, B): expected output tokens, and input tokens in proportion to the text's length.

    The proportion of each backend is that of its training queries.
    """
    problem = fold.problem
    recording = problem.recording
    chars = np.array([len(text) for text in problem.texts]) / CHARS_PER_TOKEN
    tokens_in = recording.columns.tokens_in[problem.served_row]
    columns = []
    for place, name in enumerate(problem.backends):
        ratio = tokens_in[train, place].sum() / max(float(chars[train].sum()), 1.0)
        price = recording.prices[name]
        cost = price.price_in * ratio * chars[places] + price.price_out * signals[f"tokens_out/{name}"]
        columns.append(cost / 1e6)
    return np.stack(columns, axis=1)


def _columns(rows: Sequence[Mapping[str, float]]) -> dict[str, Floats]:
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}
