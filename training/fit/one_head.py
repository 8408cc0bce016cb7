"""Fit one head on rows of returned samples: P(this sample is right).

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
from predictors.sample_head import (
    MEMBERS,
    SampleHead,
    blind,
    complete_rows,
    prior_columns,
    regression,
    wordless,
)
from predictors.stack import guarded_blend
from predictors.trees import Trees
from predictors.word_regression import WordRegression, fit_word_regression
from training.sample_rows import SampleRows

Floats = NDArray[np.float64]
_ENOUGH = 40


@dataclass(frozen=True, slots=True)
class SampleFit:
    """The head, or None where nothing but the base rate helps; and figures on held-out queries."""

    head: SampleHead | None
    metrics: dict[str, float] = field(compare=False)
    # fold -> head fitted without it
    folds: dict[int, SampleHead] = field(default_factory=dict, compare=False)
    # (m,) of the rows, calibrated
    held_out: Floats = field(default_factory=lambda: np.zeros(0), compare=False)


@dataclass(frozen=True, slots=True)
class Members:
    """What is blended, fitted on some of the rows."""

    base: float
    hashed: HashedRidge
    linear: WordRegression | None  # None: the rows were told
    trees: Trees
    blind_trees: Trees | None  # None: nothing was expected, the others are blind, too

    def predict(self, rows: SampleRows) -> Floats:
        """One column per member of the head, (m, 5); where there are no blind trees, what the others say."""
        x = complete_rows(rows.x, self.hashed, rows.words, rows.prior)
        linear = regression(self.linear, x, rows.words)
        trees = self.trees.predict(x)
        unseeing = trees if self.blind_trees is None else self.blind_trees.predict(blind(x))
        return np.stack([np.full(len(rows), self.base), rows.prior, linear, trees, unseeing], axis=1)


def fit_on_rows(
    made: SampleRows, backends: tuple[str, ...], seed: int, *, per_fold: bool = False
) -> SampleFit:
    """One head on all rows, told apart by what their columns say; `per_fold` also keeps one without each fold."""
    parts = np.unique(made.fold)
    if len(made) < _ENOUGH or float(np.ptp(made.y)) == 0 or len(parts) < 2:
        return SampleFit(None, {})
    members, without = np.empty((len(made), len(MEMBERS))), {}
    for part in parts.tolist():
        inside, outside = np.flatnonzero(made.fold != part), np.flatnonzero(made.fold == part)
        seen = made.while_held_out(part)
        fitted = fit_members(seen.taken(inside), seed)
        members[outside] = fitted.predict(seen.taken(outside))
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
            heads[part] = _head(backends, without[part], blend, curve)
    curve = fit_curve(mixed, made.y, made.weight, made.fold)
    head = _head(backends, fit_members(made, seed), blend, curve)
    metrics = figures(held_out, made.y, seed) | _ablation(members, made)
    return SampleFit(head, metrics, heads, held_out)


def figures(held_out: Floats, y: Floats, seed: int) -> dict[str, float]:
    """How good held-out probabilities (m,) are, for the card."""
    return {
        "brier_skill/sample_confidence": brier_skill(held_out, y),
        "log_loss/sample_confidence": log_loss(held_out, y),
        "ece/sample_confidence": ece_debiased(held_out, y, np.random.default_rng(seed), draws=50),
    }


def _ablation(members: Floats, rows: SampleRows) -> dict[str, float]:
    """The blend's Brier skill on held-out queries, whole and with each member out, not calibrated."""
    found = {}
    for place, name in enumerate(("", *MEMBERS[1:])):
        kept = [column for column in range(len(MEMBERS)) if column == 0 or column != place]
        _, mixed = guarded_blend(members[:, kept], rows.y, rows.weight, rows.fold)
        label = f"brier_skill/sample_blend{'_without_' if name else ''}{name}"
        found[label] = brier_skill(mixed, rows.y)
    return found


def fit_members(rows: SampleRows, seed: int) -> Members:
    """Fit every member on all of the rows (at least 2)."""
    crossed = fit_hashed(rows.words, 2**BITS, rows.y[:, None], rows.fold, penalty=5.0, rarity=1.0)
    said = np.clip(crossed.held_out[:, 0], 0.0, 1.0)
    x = np.column_stack([rows.x, said, prior_columns(rows.prior)]).astype(np.float32)
    base = float(np.average(rows.y, weights=rows.weight))
    linear = None
    if rows.told is None:
        linear = fit_word_regression(wordless(x), rows.words, rows.y, rows.weight)
    trees = _trees().fit(x, rows.y, rows.weight, seed)
    unseeing = None
    if float(np.ptp(rows.prior)) > 0:
        unseeing = _trees().fit(blind(x), rows.y, rows.weight, seed)
    return Members(base, crossed.full, linear, trees, unseeing)


def _trees() -> Trees:
    """Thresholds drawn, not searched (extremely randomised trees, Geurts et al. 2006): the best ones fit noise."""
    return Trees(300, leaves=16, rate=0.025, rows_per_leaf=5, features=0.7, random_cuts=True)


def _head(backends: tuple[str, ...], members: Members, blend: Floats, curve: Curve) -> SampleHead:
    blend = blend.copy()
    if members.blind_trees is None:  # a member that was not grown said what another did: so it is counted
        blend[3], blend[4] = blend[3] + blend[4], 0.0
    return SampleHead(
        backends,
        members.base,
        blend,
        members.hashed,
        members.linear,
        members.trees if blend[3] > 0 else None,
        members.blind_trees if blend[4] > 0 else None,
        curve,
    )
