"""Fit what judges returned samples: the head over all backends, those of single backends, those that see states."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from training.fit.one_head import SampleFit, fit_on_rows
from training.fit.own_heads import with_own_heads
from training.fit.rows import FitRows
from training.fit.states import state_rows
from training.sample_rows import SampleRows, sample_rows

Floats = NDArray[np.float64]
_MOST_ROWS = 24_000  # a seeded choice of queries where there are more


def fit_sample_head(
    rows: FitRows,
    prior: Floats,
    tokens: Floats,
    folds: NDArray[np.int64],
    seed: int,
    *,
    per_fold: bool = False,
    own: Collection[str] | None = None,
) -> SampleFit:
    """Fit the head; `per_fold` also keeps one without each fold.

    `prior`, `tokens` (n, B): held-out p_correct and expected tokens. `own`: backends whose own heads are asked for
    (None: all); where there are more samples than are fitted on, they get half of the room.
    """
    made = sample_rows(
        rows, prior, tokens, folds, np.random.default_rng(seed), most=_MOST_ROWS, first=own or ()
    )
    fit = with_own_heads(
        fit_on_rows(made, rows.backends, seed, per_fold=per_fold), made, rows.backends, seed, only=own
    )
    return with_states(fit, made, rows, seed, own=own)


def with_states(
    fit: SampleFit, made: SampleRows, rows: FitRows, seed: int, *, own: Collection[str] | None = None
) -> SampleFit:
    """The fit with heads that also judge samples whose hidden states are known, where there are enough of these."""
    found = None if fit.head is None else state_rows(made, rows, seed)
    if fit.head is None or found is None:
        return fit
    seen = fit_on_rows(found.rows, rows.backends, seed, per_fold=bool(fit.folds))
    seen = with_own_heads(seen, found.rows, rows.backends, seed, only=own)
    if seen.head is None:
        return fit
    folds = {
        part: replace(head, states=found.head(seen.folds[part], part)) if part in seen.folds else head
        for part, head in fit.folds.items()
    }
    metrics = {
        name.replace("/sample_", "/sample_with_states_"): value
        for name, value in seen.metrics.items()
        if "/sample_blend" not in name
    }
    with_them = replace(fit.head, states=found.head(seen.head))
    return SampleFit(with_them, fit.metrics | metrics, folds, fit.held_out)
