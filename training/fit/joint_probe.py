"""Fit a backend's joint probe, cross-fitted: what it says of a row comes from one that did not see the row's fold.

Whatever is fitted on that without a further fold is told what probes say that saw neither: else the labels of the fold
it is judged on are in what it was fitted on, and it looks worse there than it serves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from predictors.joint_probe import JointProbe, fit_joint_probe
from predictors.observation import Piece
from predictors.sample_head import prior_columns
from predictors.state_head import with_prior
from predictors.state_probe import StateProbe
from training.sample_rows import SampleRows

Floats = NDArray[np.float64]
_FEW = 30  # rows; with fewer left by two folds, one fold alone is held out


@dataclass(frozen=True, slots=True)
class JointlyProbed:
    """One probe, what it says of its own rows while their fold is held out, and the probes without each fold."""

    probe: JointProbe
    held_out: Floats = field(compare=False)  # (n,)
    nested: Mapping[int, Floats] = field(compare=False)  # fold -> (n,) while that fold is held out, too
    without: Mapping[int, JointProbe] = field(compare=False)

    def of(self, part: int | None) -> JointProbe:
        """The probe; with `part`, the one that was fitted without it."""
        return self.probe if part is None else self.without.get(part, self.probe)


def fit_jointly(rows: SampleRows, states: NDArray[np.float32], pieces: tuple[Piece, ...]) -> JointlyProbed:
    """Fit on one backend's samples and their states (n, width); rows of at least two folds are needed."""
    parts = np.unique(rows.fold).tolist()

    def fit(*left_out: int) -> JointProbe:
        kept = np.flatnonzero(~np.isin(rows.fold, left_out))
        some = rows.taken(kept)
        x = with_prior(some.x, some.prior)
        return fit_joint_probe(x, some.words, states[kept], pieces, some.y, some.weight)

    def of_fold(probe: JointProbe, part: int) -> Floats:
        mine = np.flatnonzero(rows.fold == part)
        return said(probe, rows.taken(mine), states[mine])

    without = {part: fit(part) for part in parts}
    held_out = np.empty(len(rows))
    for part in parts:
        held_out[rows.fold == part] = of_fold(without[part], part)
    nested = {part: held_out.copy() for part in parts}
    for one, other in combinations(parts, 2):
        if np.isin(rows.fold, (one, other), invert=True).sum() < _FEW:
            continue
        probe = fit(one, other)
        nested[one][rows.fold == other] = of_fold(probe, other)
        nested[other][rows.fold == one] = of_fold(probe, one)
    return JointlyProbed(fit(), held_out, nested, without)


def said(probe: JointProbe | StateProbe, rows: SampleRows, states: NDArray[np.float32]) -> Floats:
    """What a probe says of the rows, whose states (n, width) it reads; (n,)."""
    if isinstance(probe, StateProbe):
        return probe.many(states)
    return probe.many(with_prior(rows.x, rows.prior), rows.words, states)


def with_said(
    rows: SampleRows, probability: Floats, nested: Mapping[int, Floats] | None = None
) -> SampleRows:
    """The rows with what a probe said, and its logit, as further features; it stands for the linear member.

    `nested`: fold -> what is told to what is fitted without it.
    """
    told = {part: prior_columns(one).astype(np.float32) for part, one in (nested or {}).items()}
    more = np.column_stack([rows.x, prior_columns(probability)]).astype(np.float32)
    return replace(rows, x=more, told=told)
