"""One fold: every subject's P(right) for every labelled sample of the test queries, fitted on the others."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from predictors.errors import FitError
from router.recording import Recording
from router.recordings.text_split import split_by_text
from training.errors import NotEnoughData
from training.fit.heads import Fitted, fit_held_out
from training.fit.rows import FitRows, rows_of
from training.fit.states import judged
from training.sample_rows import SampleRows, sample_rows
from training.suites.calibration.kinds import KINDS, predicted, shown
from training.suites.calibration.states import has_states, probed
from training.suites.workers import recording_at

Floats = NDArray[np.float64]
FOLDS = 5
_MOST_ROWS = 12_000  # that a head for one kind of evidence is fitted on


@dataclass(frozen=True, slots=True)
class Job:
    """Everything a worker needs; small, because it is pickled."""

    folder: Path
    seed: int
    fold: int


@dataclass(frozen=True, slots=True)
class Predicted:
    """What was predicted for the samples of one fold."""

    job: Job
    rows: NDArray[np.int64] = field(compare=False)  # (m,) rows of the recording's columns
    by_subject: dict[str, Floats] = field(compare=False)  # (m,) each
    notes: dict[str, float] = field(default_factory=dict, compare=False)  # of the served head's fit


def run_job(job: Job) -> Predicted:
    """Called in the worker."""
    return predict_fold(recording_at(job.folder), job)


def predict_fold(recording: Recording, job: Job) -> Predicted:
    """The same for a recording that is loaded. Raises `NotEnoughData` where nothing can be fitted."""
    part = split_by_text([query.query for query in recording.queries], FOLDS, job.seed)
    ids = np.array([query.query_id for query in recording.queries], dtype=object)
    train_ids, test_ids = ids[part != job.fold].tolist(), ids[part == job.fold].tolist()
    if not test_ids or not train_ids:
        return Predicted(job, np.zeros(0, np.int64), {})
    rows = rows_of([recording], train_ids)
    try:
        fitted = fit_held_out(rows, job.seed)
    except FitError as error:
        raise NotEnoughData(f"fold {job.fold}: {error}") from error
    test = _seen_rows(rows_of([recording], test_ids), fitted, job.seed)
    if len(test.made) == 0:
        return Predicted(job, test.rows, {})
    head = fitted.bundle.sample_head
    served = test.made.prior if head is None else judged(head, test.made, test.seen)
    asked = _finished(rows)
    found = {"base": np.full(len(test.rows), float(np.mean([row.reward for row in asked.samples])))}
    train = _train_rows(fitted, asked, job.seed)
    for kind in shown(recording):
        found[kind] = predicted(KINDS[kind], train.made, test.made, rows.backends, job.seed)
    if has_states(recording):
        found["hidden"] = probed(recording, train.rows, train.made.y, train.made.fold, test.rows, job.seed)[1]
    found |= {"all": served, "apportion": served}
    notes = {name: value for name, value in fitted.bundle.card.metrics.items() if "/sample_blend" in name}
    return Predicted(job, test.rows, found, notes)


@dataclass(frozen=True, slots=True)
class _Seen:
    seen: FitRows
    made: SampleRows
    rows: NDArray[np.int64]  # of the recording's columns


def _finished(rows: FitRows) -> FitRows:
    """What is asked about: a snapshot's tentative answer is right less often than where the sample ends."""
    return replace(rows, samples=tuple(row for row in rows.samples if row.sample.finished))


def _train_rows(fitted: Fitted, rows: FitRows, seed: int) -> _Seen:
    prior = fitted.query.held_out[:, : len(rows.backends)]
    rng = np.random.default_rng([seed, 1])
    return _named(sample_rows(rows, prior, fitted.tokens, fitted.folds, rng, most=_MOST_ROWS), rows)


def _seen_rows(rows: FitRows, fitted: Fitted, seed: int) -> _Seen:
    """The finished test samples, each as the bundle would have been shown it."""
    names = rows.backends
    signals = fitted.bundle.look_many(rows.texts)
    prior, tokens = (
        np.stack([signals[f"{what}/{name}"] for name in names], axis=1)
        for what in ("p_correct", "tokens_out")
    )
    finished = _finished(rows)
    rng = np.random.default_rng([seed, 2])
    nowhere = np.zeros(len(rows.texts), dtype=np.int64)
    made = sample_rows(finished, prior, tokens, nowhere, rng, backends=fitted.bundle.card.backends)
    return _named(made, finished)


def _named(made: SampleRows, rows: FitRows) -> _Seen:
    found = [int(rows.samples[number].sample.sample_id) for number in made.number]
    return _Seen(rows, made, np.array(found, dtype=np.int64))
