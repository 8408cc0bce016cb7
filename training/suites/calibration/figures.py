"""The suite's figures, from decision rows and the recording alone.

Predictions of all folds and backends are pooled per seed. The calibration error takes one sample per query and
backend at random (samples of one query are not independent), the mean of 20 such choices; its floor is what the same
predictions would show if they were perfectly calibrated.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from predictors.calibration import brier_skill, ece, ece_floor, log_loss
from router.recording import Recording
from training.decision_rows import DecisionRows
from training.figures.ranking import auroc
from training.figures.spread import Spread, spread

SIGNAL = "p_correct"
CHOICES = 20  # of one sample per query and backend
DRAWS = 10  # of labels per choice for the floor: 200 in all
RIGHT = 0.5  # a graded reward of this or more counts as right, for AUROC
ENOUGH = 1_000  # queries from which the goal applies
MOST_ECE = 0.02
MEMBERS = ("text", "logprob", "hidden")

Floats = NDArray[np.float64]


class CalibrationFigures:
    """Collects the blocks of one recording; `figures` when all have come."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._rows: dict[tuple[str, int], list[NDArray[np.int64]]] = defaultdict(list)
        self._p: dict[tuple[str, int], list[Floats]] = defaultdict(list)

    def take(self, rows: DecisionRows) -> None:
        """Add a block; every row has looked at one sample."""
        key = rows.key.subject, rows.key.seed
        self._rows[key].append(rows.sample_row)
        self._p[key].append(rows.signals.column(SIGNAL))

    def figures(self) -> dict[str, dict[str, Spread | float]]:
        """Subject -> figure; a plain number from one seed, a spread over several."""
        by_subject: dict[str, list[dict[str, float]]] = defaultdict(list)
        for (subject, seed), blocks in sorted(self._rows.items(), key=lambda item: item[0][1]):
            p = np.concatenate(self._p[subject, seed])
            by_subject[subject].append(_measured(self.recording, np.concatenate(blocks), p, seed))
        return {subject: _over_seeds(found) for subject, found in by_subject.items()}


def _measured(recording: Recording, rows: NDArray[np.int64], p: Floats, seed: int) -> dict[str, float]:
    order = np.argsort(rows)  # the same whatever order the blocks came in
    rows, p = rows[order], p[order]
    seen = recording.columns
    y = seen.reward[rows].astype(np.float64)
    cell = seen.query[rows].astype(np.int64) * len(recording.backends) + seen.backend[rows]
    raw, floor = [], []
    for choice in range(CHOICES):
        rng = np.random.default_rng([seed, choice])
        one = one_of_each(cell, rng)
        raw.append(ece(p[one], y[one]))
        floor.append(ece_floor(p[one], rng, draws=DRAWS))
    found = {
        "auroc": auroc(p, y >= RIGHT),
        "ece_raw": float(np.mean(raw)),
        "ece_floor": float(np.mean(floor)),
        "brier_skill": brier_skill(p, y),
        "logloss": log_loss(p, y),
        "queries": float(len(np.unique(seen.query[rows]))),
        "samples": float(len(rows)),
    }
    found["ece"] = max(0.0, found["ece_raw"] - found["ece_floor"])
    return {name: value for name, value in found.items() if not np.isnan(value)}


def one_of_each(cell: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """A random row of every distinct cell, in random order (equal predictions fall into bins by their order)."""
    order = rng.permutation(len(cell))
    _, first = np.unique(cell[order], return_index=True)
    return np.asarray(order[np.sort(first)], dtype=np.int64)


def _over_seeds(found: list[dict[str, float]]) -> dict[str, Spread | float]:
    if len(found) == 1:
        return dict(found[0])
    over: dict[str, Spread | float] = {}
    for name in found[0]:
        one = spread([[values.get(name, float("nan"))] for values in found])
        if one is not None:
            over[name] = one
    return over


def failures(figures: Mapping[str, Mapping[str, Spread | float]], subject: str = "apportion") -> list[str]:
    """What of the goal a subject misses, in words: debiased error, skill over the base rate and over each member."""
    mine = {name: _mean(value) for name, value in figures[subject].items()}
    found = []
    if mine["ece"] > MOST_ECE:
        found.append(f"{subject}: ece {mine['ece']:.3f} is above {MOST_ECE}")
    if mine["brier_skill"] <= 0:
        found.append(f"{subject}: Brier skill {mine['brier_skill']:.3f} is not above the base rate's 0")
    for member in MEMBERS:
        skill = _mean(figures[member]["brier_skill"]) if member in figures else -np.inf
        if mine["brier_skill"] < skill:
            found.append(f"{subject}: Brier skill {mine['brier_skill']:.3f} is below {skill:.3f} of {member}")
    return found


def _mean(value: Spread | float) -> float:
    return value.mean if isinstance(value, Spread) else value
