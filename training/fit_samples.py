"""Fit the head over returned samples: P(this sample is right).

Cross-fitted by query: for each fold the members are fitted without it, and the words' own score, which is a feature
of the others, without it and the row's own fold. The prior is what the query heads say when the query is held out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from predictors.answer_words import BITS
from predictors.calibration import Curve, brier_skill, ece_debiased, fit_curve, log_loss
from predictors.hashed import HashedRidge, fit_hashed
from predictors.linear import Linear
from predictors.sample_head import SampleHead, word_score
from predictors.stack import guarded_blend
from predictors.trees import Trees
from training.fit_rows import FitRows
from training.sample_rows import SampleRows, sample_rows

Floats = NDArray[np.float64]
_MOST_ROWS = 24_000  # a seeded choice of queries where there are more
_ENOUGH_FOR_TREES = 600
_ENOUGH = 40


@dataclass(frozen=True, slots=True)
class SampleFit:
    """The head, or None where nothing but the base rate helps; and figures on held-out queries."""

    head: SampleHead | None
    metrics: dict[str, float] = field(compare=False)
    folds: dict[int, SampleHead] = field(
        default_factory=dict, compare=False
    )  # fold -> head fitted without it


@dataclass(frozen=True, slots=True)
class Members:
    """What is blended, fitted on some of the rows."""

    base: float
    hashed: HashedRidge
    linear: Linear
    trees: Trees | None

    def predict(self, rows: SampleRows) -> Floats:
        """One column per member of the head, (m, 4): base rate, prior, linear, trees (linear where there are none)."""
        x = np.column_stack([rows.x, [word_score(self.hashed, words) for words in rows.words]])
        x = x.astype(np.float32)
        linear = self.linear.predict(x)
        trees = linear if self.trees is None else self.trees.predict(x)
        return np.stack([np.full(len(rows), self.base), rows.prior, linear, trees], axis=1)


def fit_sample_head(
    rows: FitRows,
    prior: Floats,
    tokens: Floats,
    folds: NDArray[np.int64],
    seed: int,
    *,
    per_fold: bool = False,
) -> SampleFit:
    """Fit the head; `per_fold` also keeps one without each fold.

    `prior`, `tokens` (n, B): held-out p_correct and expected tokens.
    """
    made = sample_rows(rows, prior, tokens, folds, np.random.default_rng(seed), most=_MOST_ROWS)
    parts = np.unique(made.fold)
    if len(made) < _ENOUGH or float(np.ptp(made.y)) == 0 or len(parts) < 2:
        return SampleFit(None, {})
    members, without = np.empty((len(made), 4)), {}
    for part in parts.tolist():
        inside, outside = np.flatnonzero(made.fold != part), np.flatnonzero(made.fold == part)
        fitted = fit_members(made.taken(inside), seed)
        members[outside] = fitted.predict(made.taken(outside))
        if per_fold:
            without[part] = fitted
    blend, mixed = guarded_blend(members, made.y, made.weight, made.fold)
    held_out, heads = np.empty(len(made)), {}
    for part in parts.tolist():
        inside = np.flatnonzero(made.fold != part)
        curve = fit_curve(mixed[inside], made.y[inside], made.weight[inside], made.fold[inside])
        outside = made.fold == part
        held_out[outside] = curve(mixed[outside])
        if per_fold:
            heads[part] = _head(rows.backends, without[part], blend, curve)
    curve = fit_curve(mixed, made.y, made.weight, made.fold)
    head = _head(rows.backends, fit_members(made, seed), blend, curve)
    rng = np.random.default_rng(seed)
    metrics = {
        "brier_skill/sample_confidence": brier_skill(held_out, made.y),
        "log_loss/sample_confidence": log_loss(held_out, made.y),
        "ece/sample_confidence": ece_debiased(held_out, made.y, rng, draws=50),
    }
    return SampleFit(head, metrics, heads)


def fit_members(rows: SampleRows, seed: int) -> Members:
    """Fit every member on all of the rows (at least 2)."""
    crossed = fit_hashed(rows.words, 2**BITS, rows.y[:, None], rows.fold, penalty=5.0, rarity=1.0)
    x = np.column_stack([rows.x, np.clip(crossed.held_out[:, 0], 0.0, 1.0)]).astype(np.float32)
    linear = Linear(penalty=10.0).fit(x, rows.y, rows.weight, seed)
    trees = None
    if len(rows) >= _ENOUGH_FOR_TREES:
        trees = Trees(200, leaves=8, rate=0.03, rows_per_leaf=25, features=0.3).fit(
            x, rows.y, rows.weight, seed
        )
    return Members(float(np.average(rows.y, weights=rows.weight)), crossed.full, linear, trees)


def _head(backends: tuple[str, ...], members: Members, blend: Floats, curve: Curve) -> SampleHead:
    trees = members.trees if blend[3] > 0 else None
    if trees is None and blend[3] > 0:  # too few rows to grow trees: its weight is the linear member's
        blend = np.array([blend[0], blend[1], blend[2] + blend[3], 0.0])
    return SampleHead(backends, members.base, blend, members.hashed, members.linear, trees, curve)
