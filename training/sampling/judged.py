"""What samples say for themselves, learned from a tuning half's labels: evidence beside the votes.

The head over samples is the one that serves, fitted on fewer samples than a bundle's, because every split needs its
own. How far it is believed is learned from the same queries, each judged without its fold (`training.fit.evidence`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from training.alone_rows import AloneRows, alone_rows, judged_alone
from training.fit.evidence import log_odds, with_belief
from training.fit.heads import Fitted
from training.fit.rows import FitRows
from training.fit.samples import fit_sample_head

Floats = NDArray[np.float64]
MOST_SAMPLES = 6_000  # that a head is fitted on


@dataclass(frozen=True, slots=True)
class Judging:
    """The finished samples of the queries `own`, and their rows of the recording's columns."""

    own: NDArray[np.int64] = field(compare=False)  # places in `FitRows.texts`
    alone: AloneRows = field(compare=False)
    at: NDArray[np.int64] = field(compare=False)


def judging(rows: FitRows, own: NDArray[np.int64]) -> Judging:
    """Reads their texts, once for all splits."""
    mine = set(own.tolist())
    numbers = [
        number
        for number, labelled in enumerate(rows.samples)
        if labelled.query in mine and labelled.sample.finished
    ]
    at = [int(rows.samples[number].sample.sample_id) for number in numbers]
    return Judging(own, alone_rows(rows, numbers), np.array(at, dtype=np.int64))


def evidence_of(
    rows: FitRows, fitted: Fitted, train: NDArray[np.int64], of: Judging, seed: int
) -> Floats | None:
    """By row of the recording's columns, of all samples that are judged; None where nothing is believed.

    `fitted`: on `rows.taken(train)`, of one backend, without a head over samples. Others are judged by the head that
    was fitted on all of `train`, these by one without their fold.
    """
    backend = rows.backends[0]
    expected = fitted.tokens  # (train, 1)
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
    rest = np.setdiff1d(of.own, train)
    if len(rest):
        looked = fitted.bundle.look_many([rows.texts[at] for at in rest])
        prior[rest], tokens[rest] = looked[f"p_correct/{backend}"], looked[f"tokens_out/{backend}"]
    alone = judged_alone(of.alone, judges, folds, prior, tokens)
    found = np.zeros(int(of.at.max()) + 1)
    found[of.at] = believed * (log_odds(alone) - log_odds(prior)[of.alone.query])
    return found


def _fewer(rows: FitRows, seed: int) -> FitRows:
    """The same with samples of some queries only, where there are more than are fitted on."""
    if len(rows.samples) <= MOST_SAMPLES:
        return rows
    draw = np.random.default_rng(seed).random(len(rows.texts))
    kept = draw < MOST_SAMPLES / len(rows.samples)
    return replace(rows, samples=tuple(one for one in rows.samples if kept[one.query]))
