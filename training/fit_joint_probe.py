"""Fit a backend's joint probe, cross-fitted: what it says of a row comes from one that did not see the row's fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from predictors.joint_probe import JointProbe, fit_joint_probe
from predictors.observation import Piece
from predictors.sample_head import prior_columns
from predictors.state_head import with_prior
from predictors.state_probe import StateProbe
from training.sample_rows import SampleRows

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class JointlyProbed:
    """One probe, what it says of its own rows while their fold is held out, and the probes without each fold."""

    probe: JointProbe
    held_out: Floats = field(compare=False)  # (n,)
    without: Mapping[int, JointProbe] = field(compare=False)

    def of(self, part: int | None) -> JointProbe:
        """The probe; with `part`, the one that was fitted without it."""
        return self.probe if part is None else self.without.get(part, self.probe)


def fit_jointly(rows: SampleRows, states: NDArray[np.float32], pieces: tuple[Piece, ...]) -> JointlyProbed:
    """Fit on one backend's samples and their states (n, width); rows of at least two folds are needed."""
    held_out, without = np.empty(len(rows)), {}
    for part in np.unique(rows.fold).tolist():
        inside, outside = np.flatnonzero(rows.fold != part), np.flatnonzero(rows.fold == part)
        without[part] = _fit(rows.taken(inside), states[inside], pieces)
        held_out[outside] = said(without[part], rows.taken(outside), states[outside])
    return JointlyProbed(_fit(rows, states, pieces), held_out, without)


def _fit(rows: SampleRows, states: NDArray[np.float32], pieces: tuple[Piece, ...]) -> JointProbe:
    return fit_joint_probe(with_prior(rows.x, rows.prior), rows.words, states, pieces, rows.y, rows.weight)


def said(probe: JointProbe | StateProbe, rows: SampleRows, states: NDArray[np.float32]) -> Floats:
    """What a probe says of the rows, whose states (n, width) it reads; (n,)."""
    if isinstance(probe, StateProbe):
        return probe.many(states)
    return probe.many(with_prior(rows.x, rows.prior), rows.words, states)


def with_said(rows: SampleRows, probability: Floats) -> SampleRows:
    """The rows with what a probe said, and its logit, as further features; it stands for the linear member."""
    more = np.column_stack([rows.x, prior_columns(probability)]).astype(np.float32)
    return replace(rows, x=more, told=True)
