"""What samples say for themselves, learned from a tuning half's labels: evidence beside the votes.

The head over samples is the one that serves, fitted on fewer samples than a bundle's, because every split needs its
own. How far it is believed is learned from the same queries, each judged without its fold (`training.fit_evidence`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from training.fit import Fitted
from training.fit_evidence import judged_alone, log_odds, with_belief
from training.fit_rows import FitRows
from training.fit_samples import fit_sample_head

Floats = NDArray[np.float64]
MOST_SAMPLES = 6_000  # that a head is fitted on


def evidence_of(
    rows: FitRows, fitted: Fitted, train: NDArray[np.int64], own: NDArray[np.int64], seed: int
) -> Floats | None:
    """By row of the recording's columns, of all samples of the queries `own`; None where nothing is believed.

    `fitted`: on `rows.taken(train)`, of one backend, without a head over samples. Others are judged by the head that
    was fitted on all of `train`, these by one without their fold.
    """
    backend = rows.backends[0]
    expected = np.array([fitted.bundle.lengths.predict(row)[0] for row in fitted.query.x])  # (train, 1)
    known = fitted.query.held_out[:, :1]
    judges = fit_sample_head(
        _fewer(fitted.rows, seed), known, expected, fitted.folds, seed, per_fold=True, own=()
    )
    if judges.head is None:
        return None
    believed = with_belief(fitted.bundle.deciding.stops, replace(fitted, samples=judges), seed).belief(
        backend
    )
    if not believed:
        return None
    prior, tokens = np.zeros(len(rows.texts)), np.zeros(len(rows.texts))
    folds = np.full(len(rows.texts), -1)
    prior[train], tokens[train], folds[train] = known[:, 0], expected[:, 0], fitted.folds
    rest = np.setdiff1d(own, train)
    if len(rest):
        looked = fitted.bundle.look_many([rows.texts[at] for at in rest])
        prior[rest], tokens[rest] = looked[f"p_correct/{backend}"], looked[f"tokens_out/{backend}"]
    mine = set(own.tolist())
    numbers = [
        number
        for number, labelled in enumerate(rows.samples)
        if labelled.query in mine and labelled.sample.finished
    ]
    alone = judged_alone(rows, numbers, judges, folds, prior, tokens)
    before = log_odds(prior)
    at = [int(rows.samples[number].sample.sample_id) for number in numbers]
    found = np.zeros(max(at) + 1)
    found[at] = believed * (log_odds(alone) - before[[rows.samples[number].query for number in numbers]])
    return found


def _fewer(rows: FitRows, seed: int) -> FitRows:
    """The same with samples of some queries only, where there are more than are fitted on."""
    if len(rows.samples) <= MOST_SAMPLES:
        return rows
    draw = np.random.default_rng(seed).random(len(rows.texts))
    kept = draw < MOST_SAMPLES / len(rows.samples)
    return replace(rows, samples=tuple(one for one in rows.samples if kept[one.query]))
