"""Fit the probes that read hidden states, and the sample head that sees what they say; cross-fitted by query as all.

What a probe says of a training row comes from a probe that did not see its fold. Probes are one per backend; where a
backend's samples have vectors of several widths, the width that most have is its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from predictors.calibration import fit_curve
from predictors.hidden_pieces import picked
from predictors.hidden_probe import HiddenProbe
from predictors.observation import Piece
from predictors.sample_head import SampleHead
from predictors.small_net import SmallNet
from predictors.stack import guarded_blend
from predictors.state_head import PROMPT, StateHead
from predictors.state_probe import MEMBERS, StateProbe
from router.answers import canonical
from training.fit.joint_probe import JointlyProbed, fit_jointly, said, with_said
from training.fit.rows import FitRows
from training.sample_rows import SampleRows

Floats = NDArray[np.float64]
ENOUGH = 60  # states of a backend; with fewer it has no probe


@dataclass(frozen=True, slots=True)
class Probed:
    """One probe, what it says of its own rows while their fold is held out, and the probes without each fold."""

    probe: StateProbe
    held_out: Floats = field(compare=False)  # (n,)
    without: Mapping[int, StateProbe] = field(compare=False)

    def of(self, part: int | None) -> StateProbe:
        """The probe; with `part`, the one that was fitted without it."""
        return self.probe if part is None else self.without.get(part, self.probe)


def fit_probe(
    x: NDArray[np.float32],
    pieces: tuple[Piece, ...],
    y: Floats,
    weight: Floats,
    folds: NDArray[np.int64],
    seed: int,
) -> Probed:
    """Fit on states `x` (n, width), n >= 2 in at least two folds, with targets `y` (n,) in [0, 1]."""
    parts = np.unique(folds).tolist()
    members, fitted = np.empty((len(x), len(MEMBERS))), {}
    for part in parts:
        inside, outside = folds != part, folds == part
        fitted[part] = _members(x[inside], y[inside], weight[inside], seed)
        members[outside] = _say(fitted[part], x[outside])
    blend, mixed = guarded_blend(members, y, weight, folds)
    held_out, without = np.empty(len(x)), {}
    for part in parts:
        others = folds != part
        curve = fit_curve(mixed[others], y[others], weight[others], folds[others])
        held_out[~others] = curve(mixed[~others])
        base, probe, net = fitted[part]
        without[part] = StateProbe(pieces, base, blend, probe, net, curve)
    base, probe, net = _members(x, y, weight, seed)
    curve = fit_curve(mixed, y, weight, folds)
    return Probed(StateProbe(pieces, base, blend, probe, net, curve), held_out, without)


def _members(
    x: NDArray[np.float32], y: Floats, weight: Floats, seed: int
) -> tuple[float, HiddenProbe, SmallNet]:
    probe = HiddenProbe().fit(x, y, weight, seed)
    net = SmallNet().fit(probe.inside(x), y, weight, seed)
    return float(np.average(y, weights=weight)), probe, net


def _say(fitted: tuple[float, HiddenProbe, SmallNet], x: NDArray[np.float32]) -> Floats:
    base, probe, net = fitted
    return np.stack([np.full(len(x), base), probe.predict(x), net.predict(probe.inside(x))], axis=1)


@dataclass(frozen=True, slots=True)
class StateRows:
    """Rows of samples with what their states say, and the probes."""

    rows: SampleRows = field(compare=False)  # with two more features
    probed: Mapping[str, JointlyProbed] = field(compare=False)  # by backend
    right: Mapping[str, Probed] = field(compare=False)
    agree: Mapping[str, Probed] = field(compare=False)

    def head(self, head: SampleHead, part: int | None = None) -> StateHead:
        """The probes, those fitted without `part` where one is given, with the head that was fitted on `rows`."""
        probes = {name: found.of(part) for name, found in self.probed.items()}
        right, agree = (
            {name: found.of(part) for name, found in kind.items()} for kind in (self.right, self.agree)
        )
        return StateHead(probes, head, right, agree)


def state_rows(made: SampleRows, rows: FitRows, seed: int) -> StateRows | None:
    """The rows whose samples have states, with what the probes say; None where there are too few."""
    told = np.full(len(made), np.nan)
    nested = {part: told.copy() for part in np.unique(made.fold).tolist()}
    probed, right, agree = {}, {}, {}
    for backend in rows.backends:
        mine, x, pieces = states_of(made, rows, backend)
        if not _enough(made, mine):
            continue
        found = fit_jointly(made.taken(mine), x, pieces)
        told[mine], probed[backend] = found.held_out, found
        for part, without in nested.items():
            without[mine] = found.nested.get(part, found.held_out)
        of_prompt = tuple(piece for piece in pieces if piece.part in PROMPT)
        if of_prompt:
            right[backend], agree[backend] = _of_prompt(made, rows, mine, x, pieces, of_prompt, seed)
    known = np.flatnonzero(np.isfinite(told))
    if not len(known):
        return None
    of_right, of_agree = (
        {name: found for name, found in kind.items() if found is not None} for kind in (right, agree)
    )
    inner = {part: without[known] for part, without in nested.items()}
    return StateRows(with_said(made.taken(known), told[known], inner), probed, of_right, of_agree)


def _enough(made: SampleRows, mine: NDArray[np.int64]) -> bool:
    """Whether rows of one backend with states have both outcomes, and no fold nearly all of them."""
    if len(mine) < ENOUGH or float(np.ptp(made.y[mine])) == 0:
        return False
    return _apart(made.fold[mine])


def _apart(folds: NDArray[np.int64]) -> bool:
    """Whether two rows are left without any one of the folds."""
    return len(folds) - int(np.bincount(folds).max(initial=0)) >= 2


def states_of(
    made: SampleRows, rows: FitRows, backend: str
) -> tuple[NDArray[np.int64], NDArray[np.float32], tuple[Piece, ...]]:
    """Rows of `made` with a state of this backend, the states (n, width), and what they are made of."""
    found = [
        (at, rows.samples[number].sample)
        for at, number in enumerate(made.number.tolist())
        if rows.samples[number].sample.hidden is not None and rows.samples[number].sample.backend == backend
    ]
    if not found:
        return np.zeros(0, np.int64), np.zeros((0, 0), np.float32), ()
    kinds = Counter((sample.pieces, len(sample.hidden)) for _, sample in found)
    (pieces, width), _ = kinds.most_common(1)[0]
    kept = [(at, sample) for at, sample in found if (sample.pieces, len(sample.hidden)) == (pieces, width)]
    x = np.stack([np.asarray(sample.hidden, np.float32) for _, sample in kept])
    return np.array([at for at, _ in kept], dtype=np.int64), x, pieces


def _of_prompt(
    made: SampleRows,
    rows: FitRows,
    mine: NDArray[np.int64],
    x: NDArray[np.float32],
    pieces: tuple[Piece, ...],
    wanted: tuple[Piece, ...],
    seed: int,
) -> tuple[Probed | None, Probed | None]:
    """Probes of the prompt's state, one row per query: will a sample be right, will two agree?"""
    by_query: dict[int, list[int]] = {}
    for place, at in enumerate(mine.tolist()):
        by_query.setdefault(rows.samples[int(made.number[at])].query, []).append(place)
    states, y, same, fold = [], [], [], []
    for places in by_query.values():
        state = picked(x[places[0]], pieces, wanted)
        assert state is not None  # noqa: S101 (wanted is part of pieces)
        states.append(state)
        y.append(float(made.y[mine[places]].mean()))
        same.append(_agreement(made, rows, mine[places]))
        fold.append(int(made.fold[mine[places[0]]]))
    stacked, folds, ones = np.stack(states), np.array(fold, dtype=np.int64), np.ones(len(states))
    agreed = np.array(same)
    if not _apart(folds):
        return None, None
    right = fit_probe(stacked, wanted, np.array(y), ones, folds, seed)
    some = np.isfinite(agreed)
    if some.sum() < ENOUGH or not _apart(folds[some]):
        return right, None
    return right, fit_probe(stacked[some], wanted, agreed[some], ones[some], folds[some], seed)


def _agreement(made: SampleRows, rows: FitRows, at: NDArray[np.int64]) -> float:
    """The share of pairs of a query's samples whose answers are equal; NaN for fewer than two."""
    answers = [rows.samples[int(number)].sample.answer for number in made.number[at]]
    if len(answers) < 2:
        return float("nan")
    counts = Counter(
        f"={place}" if answer is None else canonical(answer, rows.answer_kind)
        for place, answer in enumerate(answers)
    )
    n = len(answers)
    return sum(count * (count - 1) for count in counts.values()) / (n * (n - 1))


def judged(head: SampleHead, made: SampleRows, rows: FitRows) -> Floats:
    """What the head says of every row of `made`: with hidden states where they are known, else without; (m,)."""
    found = head.many(made.x, made.words, made.prior)
    if head.states is None:
        return found
    for backend, probe in head.states.probes.items():
        mine, x, pieces = states_of(made, rows, backend)
        if not len(mine) or pieces != probe.pieces or x.shape[1] != probe.width:
            continue
        some = made.taken(mine)
        more = with_said(some, said(probe, some, x))
        found[mine] = head.states.head.many(more.x, some.words, some.prior)
    return found
