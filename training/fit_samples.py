"""Fit the head over returned samples: P(this sample is right).

Samples are replayed in seeded orders per query and backend, with the votes so far by exact answer; the prior is what
the query heads say when the query is held out. Snapshots of growing samples take part without voting.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from predictors.calibration import brier_skill, ece_debiased, fit_curve, log_loss
from predictors.linear import Linear
from predictors.observation import Tally
from predictors.sample_head import SampleHead, sample_row
from predictors.stack import guarded_blend
from predictors.trees import Trees
from router.answering.classes import voted
from router.answers import canonical
from training.fit_rows import FitRows, LabelledSample

Floats = NDArray[np.float64]
_MOST_ROWS = 24_000  # a seeded choice of queries where there are more
_ENOUGH_FOR_TREES = 600
_ENOUGH = 40
_ROUNDS = 120


@dataclass(frozen=True, slots=True)
class SampleFit:
    """The head, or None where nothing but the base rate helps; and figures on held-out queries."""

    head: SampleHead | None
    metrics: dict[str, float] = field(compare=False)
    folds: dict[int, SampleHead] = field(
        default_factory=dict, compare=False
    )  # fold -> head fitted without it


@dataclass(frozen=True, slots=True)
class _Rows:
    x: NDArray[np.float32]  # (m, d)
    y: Floats  # (m,)
    prior: Floats  # (m,)
    weight: Floats  # (m,) a query counts once per backend, however often it was sampled
    fold: NDArray[np.int64]  # (m,) of the query


def fit_sample_head(
    rows: FitRows,
    prior: Floats,
    tokens: Floats,
    folds: NDArray[np.int64],
    seed: int,
    *,
    per_fold: bool = False,
) -> SampleFit:
    """Fit the head; `per_fold` also fits one without each fold.

    `prior`, `tokens` (n, B): held-out p_correct and expected tokens.
    """
    made = _make_rows(rows, prior, tokens, folds, np.random.default_rng(seed))
    if len(made.y) < _ENOUGH or float(np.ptp(made.y)) == 0 or len(np.unique(made.fold)) < 2:
        return SampleFit(None, {})
    members = _members(made, seed)
    blend, mixed = guarded_blend(members, made.y, made.weight, made.fold)
    head = _head(rows.backends, made, blend, mixed, np.ones(len(made.y), dtype=np.bool_), seed)
    held_out = np.empty(len(made.y))
    without: dict[int, SampleHead] = {}
    for part in np.unique(made.fold):
        inside = made.fold != part
        curve = fit_curve(mixed[inside], made.y[inside], made.weight[inside], made.fold[inside])
        held_out[~inside] = curve(mixed[~inside])
        if per_fold:
            without[int(part)] = replace(_head(rows.backends, made, blend, mixed, inside, seed), curve=curve)
    rng = np.random.default_rng(seed)
    metrics = {
        "brier_skill/sample_confidence": brier_skill(held_out, made.y),
        "log_loss/sample_confidence": log_loss(held_out, made.y),
        "ece/sample_confidence": ece_debiased(held_out, made.y, rng, draws=50),
    }
    return SampleFit(head, metrics, without)


def _make_rows(
    rows: FitRows, prior: Floats, tokens: Floats, folds: NDArray[np.int64], rng: np.random.Generator
) -> _Rows:
    cells: dict[tuple[int, str], list[LabelledSample]] = defaultdict(list)
    for labelled in rows.samples:
        cells[labelled.query, labelled.sample.backend].append(labelled)
    keys = sorted(cells)
    total = sum(map(len, cells.values()))
    if total > _MOST_ROWS:
        share = _MOST_ROWS / total
        keys = [key for key, draw in zip(keys, rng.random(len(keys)).tolist(), strict=True) if draw < share]
    x, y, known, weight, fold = [], [], [], [], []
    for query, backend in keys:
        place = rows.backends.index(backend)
        cell = cells[query, backend]
        for labelled, tally, position in _drawn(cell, rows.answer_kind, rng):
            expected = float(np.nan_to_num(tokens[query, place]))
            p = float(prior[query, place])
            x.append(
                sample_row(rows.backends, labelled.sample, rows.texts[query], tally, position, p, expected)
            )
            y.append(labelled.reward)
            known.append(p)
            weight.append(1.0 / len(cell))
            fold.append(int(folds[query]))
    return _Rows(
        np.array(x, dtype=np.float32),
        np.array(y),
        np.array(known),
        np.array(weight),
        np.array(fold, dtype=np.int64),
    )


def _drawn(
    cell: list[LabelledSample], kind: str, rng: np.random.Generator
) -> list[tuple[LabelledSample, Tally, int]]:
    """The samples of one query and backend in a random order, each with the votes including its own."""
    found: list[tuple[LabelledSample, Tally, int]] = []
    classes: dict[str, int] = {}
    tally = Tally()
    for place in rng.permutation(len(cell)).tolist():
        labelled = cell[place]
        sample = labelled.sample
        if not sample.finished:
            found.append((labelled, tally, tally.drawn))
            continue
        number = None
        if sample.answer is not None:
            number = classes.setdefault(canonical(sample.answer, kind), len(classes))
        tally = voted(tally, sample.answer, number)
        found.append((replace(labelled, sample=replace(sample, answer_class=number)), tally, tally.drawn - 1))
    return found


def _members(made: _Rows, seed: int) -> Floats:
    """Held-out predictions (m, 4): base rate, prior, linear, trees."""
    base = float(np.average(made.y, weights=made.weight))
    members = np.tile([base, base, base, base], (len(made.y), 1))
    members[:, 1] = made.prior
    for part in np.unique(made.fold):
        inside = made.fold != part
        x, y, weight = made.x[inside], made.y[inside], made.weight[inside]
        members[~inside, 0] = np.average(y, weights=weight)
        members[~inside, 2] = Linear().fit(x, y, weight, seed).predict(made.x[~inside])
        members[~inside, 3] = members[~inside, 2]
        if len(y) >= _ENOUGH_FOR_TREES:
            members[~inside, 3] = (
                Trees(_ROUNDS, rate=0.04, rows_per_leaf=60, features=0.3)
                .fit(x, y, weight, seed)
                .predict(made.x[~inside])
            )
    return members


def _head(
    backends: tuple[str, ...],
    made: _Rows,
    blend: Floats,
    mixed: Floats,
    used: NDArray[np.bool_],
    seed: int,
) -> SampleHead:
    x, y, weight = made.x[used], made.y[used], made.weight[used]
    linear = Linear().fit(x, y, weight, seed)
    trees = None
    if len(y) >= _ENOUGH_FOR_TREES and blend[3] > 0:
        trees = Trees(_ROUNDS, rate=0.04, rows_per_leaf=60, features=0.3).fit(x, y, weight, seed)
    elif blend[3] > 0:  # too few rows to grow trees: its weight is the linear member's
        blend = np.array([blend[0], blend[1], blend[2] + blend[3], 0.0])
    curve = fit_curve(mixed[used], y, weight, made.fold[used])
    return SampleHead(backends, float(np.average(y, weights=weight)), blend, linear, trees, curve)
