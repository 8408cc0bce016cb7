"""`confident`: stop at the first look at which stopping is safe enough, or the tentative answer sure enough.

`confident@r` promises that at most the share r of all traces stops, is wrong and would have been right at the end. Its
thresholds are walked from the safest down on the tuning half (Learn-then-Test) and end before the first with more
losses than another half may be expected to stand (`training.figures.risk.losses_kept`). Of the watches the one that
saves most there is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from predictors.exit_head import RIGHT
from training.figures.risk import losses_kept
from training.suites.early_exit.halves import Half, Known
from training.suites.early_exit.settings import Settings
from training.suites.early_exit.traces import Floats
from training.suites.early_exit.watch import Watched, first_true

GRID = tuple(float(x) for x in np.round(1 - np.geomspace(0.003, 0.6, 40), 5))  # from the safest down
WALK = 1 - np.geomspace(0.003, 0.6, 160)  # the same for a promise: between two steps several losses may lie
STATED = (0.999, 0.995, 0.99, 0.98, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5)


@dataclass(frozen=True, slots=True)
class Kept:
    """A threshold that keeps a promise on the tuning half."""

    watched: Watched
    scores: Floats
    threshold: float

    @property
    def stops(self) -> NDArray[np.int64]:
        """The look at which every trace stops."""
        return stops_at(self.scores, self.threshold)


def by_score(known: Known, scores: tuple[Floats, ...], grid: tuple[float, ...], word: str) -> Settings:
    """One setting per watch and threshold."""
    return Settings.of(
        [
            (f"{word} {threshold:g}, {one.watch}", one, stops_at(score, threshold))
            for one, score in zip(known.watched, scores, strict=True)
            for threshold in grid
        ]
    )


def stated(known: Known) -> Settings | None:
    """By the tentative answer's own probability; None where it was not recorded."""
    scores = tuple(one.seen(one.traces.recording.columns.confidence) for one in known.watched)
    if not any(np.isfinite(score).any() for score in scores):
        return None
    return by_score(known, scores, STATED, "stated")


def safe(known: Known, half: Half) -> Settings:
    """By what the head says of stopping."""
    return by_score(known, half.safe, GRID, "safe")


def kept_at(known: Known, half: Half, risk: float) -> Kept | None:
    """The watch and threshold for a risk; None where none keeps the promise."""
    tuning, length = half.tuning, known.traces.length
    allowed = losses_kept(int(tuning.sum()), int((~tuning).sum()), risk)
    best, best_spent = None, float(length[tuning].sum())
    for one, score in zip(known.watched, half.safe, strict=True):
        threshold = walked(one, score, tuning, allowed)
        if threshold is None:
            continue
        spent = float(spent_by(one, stops_at(score, threshold))[tuning].sum())
        if spent < best_spent:
            best, best_spent = Kept(one, score, threshold), spent
    return best


def walked(one: Watched, score: Floats, tuning: NDArray[np.bool_], allowed: int) -> float | None:
    """The last threshold of the walk before the first with more than `allowed` losses among `tuning`."""
    losses = lost(one, stops_along(score, WALK))[:, tuning].sum(axis=1)
    over = np.flatnonzero(losses > allowed)
    last = (int(over[0]) if len(over) else len(WALK)) - 1
    return None if last < 0 else float(WALK[last])


def in_hindsight(one: Watched, score: Floats, among: NDArray[np.bool_], risk: float) -> float:
    """The most tokens that any threshold saves on the traces `among` with at most the share `risk` lost there."""
    stops = stops_along(score, WALK)
    kept = lost(one, stops)[:, among].sum(axis=1) <= risk * among.sum()
    saved = one.traces.length[among].sum() - spent_by(one, stops)[:, among].sum(axis=1)
    return max(0.0, float(saved[kept].max(initial=0.0)))


def stops_along(score: Floats, thresholds: Floats) -> NDArray[np.int64]:
    """`stops_at` for T thresholds, (T, n)."""
    # the surest look so far, as the number of thresholds that it reaches
    reached = np.searchsorted(np.sort(thresholds), np.where(np.isnan(score), -np.inf, score), side="right")
    reached = np.maximum.accumulate(reached, axis=1)
    traces, width = len(score), len(thresholds) + 1
    place = np.arange(traces)[:, None] * width + reached
    looks = np.bincount(place.ravel(), minlength=traces * width).reshape(traces, width)  # that reach so many
    order = np.argsort(
        np.argsort(thresholds)
    )  # a look stops where it reaches more of the thresholds than this
    return np.asarray(np.cumsum(looks, axis=1)[:, order].T, dtype=np.int64)


def stops_at(score: Floats, threshold: float) -> NDArray[np.int64]:
    """The first look with a score of at least `threshold`; a look without one does not stop."""
    with np.errstate(invalid="ignore"):
        return first_true(score >= threshold)


def spent_by(one: Watched, stops: NDArray[np.int64]) -> Floats:
    """Output tokens of every trace, looks included; `stops` (…, n)."""
    return np.asarray(one.spent[np.arange(stops.shape[-1]), stops])


def lost(one: Watched, stops: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Traces that stopped, were wrong, and would have been right at the end; `stops` (…, n)."""
    had = one.reward[np.arange(stops.shape[-1]), stops]
    return np.asarray((stops < one.looks) & (had < RIGHT) & (one.traces.final >= RIGHT))
