"""Heads of single backends over returned samples, each kept only where it judges better than the shared one.

A backend with enough answered queries gets a head that is fitted on its samples alone. Both heads' predictions of
these samples, each made while the query was held out, decide which of the two serves.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from predictors.calibration import brier_skill, log_loss
from predictors.sample_head import SampleHead, rows_of_backend
from predictors.stack import squared_error
from training.fit.one_head import SampleFit, figures, fit_on_rows
from training.sample_rows import SampleRows

Floats = NDArray[np.float64]
ENOUGH = 800  # queries that the backend answered; with fewer the shared head is better (see DECISIONS.md)
_MARGIN = 0.5  # standard errors by which an own head must lose less: of many, some look better by luck


def with_own_heads(
    fit: SampleFit,
    made: SampleRows,
    backends: tuple[str, ...],
    seed: int,
    *,
    only: Collection[str] | None = None,
) -> SampleFit:
    """The fit of the shared head on `made`, with heads of single backends; `only`: of these (None: of all).

    The card's figures are then those of what serves, and of both heads for every backend that has its own.
    """
    if fit.head is None:
        return fit
    own: dict[str, SampleFit] = {}
    held_out, metrics = fit.held_out.copy(), {}
    for place, backend in enumerate(backends):
        mine = rows_of_backend(made.x, place)
        if (only is not None and backend not in only) or not enough(made, mine):
            continue
        part = made.taken(mine)
        found = fit_on_rows(part, backends, seed, per_fold=bool(fit.folds))
        shared = fit.held_out[mine]
        if found.head is None or not better(found.held_out, shared, part.y, part.weight):
            continue
        own[backend], held_out[mine] = found, found.held_out
        metrics[f"brier_skill/sample_own/{backend}"] = brier_skill(found.held_out, part.y)
        metrics[f"brier_skill/sample_shared/{backend}"] = brier_skill(shared, part.y)
    if not own:
        return fit
    heads = {backend: found.head for backend, found in own.items() if found.head is not None}
    folds = {
        part: replace(head, own={name: _without(own[name], part, full) for name, full in heads.items()})
        for part, head in fit.folds.items()
    }
    metrics |= fit.metrics | figures(held_out, made.y, seed)
    return SampleFit(replace(fit.head, own=heads), metrics, folds, held_out)


def enough(made: SampleRows, mine: NDArray[np.int64]) -> bool:
    """Whether the rows `mine` of one backend are of enough queries, and not all rows there are."""
    return len(mine) < len(made) and float(made.weight[mine].sum()) >= ENOUGH  # a query's rows weigh 1


def better(own: Floats, shared: Floats, y: Floats, weight: Floats) -> bool:
    """Whether held-out predictions `own` (m,) lose less than `shared`: squared beyond the margin, and logarithmic.

    `weight` (m,): the rows of a query weigh 1 together, and count as one.
    """
    saved = (y - shared) ** 2 - (y - own) ** 2
    mean = float(np.average(saved, weights=weight))
    error = (squared_error(saved, np.full(len(y), mean), weight) / float(weight.sum())) ** 0.5
    return mean > _MARGIN * error and log_loss(own, y, weight) < log_loss(shared, y, weight)


def _without(own: SampleFit, part: int, full: SampleHead) -> SampleHead:
    """A fold in which the backend answered nothing taught its head nothing."""
    return own.folds.get(part, full)
