"""Fit the heads over a query alone: cross-fitted members, guarded blend, calibration on held-out folds.

Every number that a later part is fitted on (blends, curves, the sample head's prior, replayed plans) is held out: it
was predicted without the fold that the query is in, by members fitted on numbers that know nothing of this fold's
labels either. Folds are by a hash of the normalised text, so that duplicates stay together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from predictors.calibration import Curve, brier_skill, constant_curve, ece_debiased, fit_curve, log_loss
from predictors.features import Featurizer, QueryFeatures
from predictors.gain_levels import fit_gain_levels
from predictors.hashed import CrossFit, fit_hashed, scores_while_held_out
from predictors.query_heads import QueryHeads
from predictors.row_ridge import fit_row_ridge
from predictors.stack import guarded_blend
from predictors.text_space import fit_text_space
from predictors.trees import Trees
from training.fit.joint import fit_joint
from training.fit.rows import FitRows

Floats = NDArray[np.float64]
_ENOUGH = 40  # labelled queries; with fewer a head is its base rate
MEMBERS = ("base", "linear", "trees", "numbers")  # of a blend
_ROUNDS = {2: 100, 4: 60, 10: 40}  # most backends -> trees per head: DESIGN's budget of trees is shared
_FEWEST_ROUNDS = 30


@dataclass(frozen=True, slots=True)
class QueryFit:
    """The fitted heads and what they say of their own training queries when these are held out."""

    heads: QueryHeads
    # (n, heads), calibrated by curves fitted without the query's fold
    held_out: Floats = field(compare=False)
    x: NDArray[np.float32] = field(compare=False)  # (n, r): the rows of `QueryHeads.predict`, held out
    metrics: dict[str, float] = field(compare=False)


@dataclass(frozen=True, slots=True)
class _Head:
    """One head while it is fitted."""

    base: float
    blend: Floats
    trees: Trees | None
    curve: Curve
    held_out: Floats
    lost: dict[str, float] = field(default_factory=dict)  # member -> Brier skill that is lost without it


def fit_query_heads(
    rows: FitRows,
    features: Sequence[QueryFeatures],
    featurizer: Featurizer,
    pairs: Sequence[tuple[str, str]],
    folds: NDArray[np.int64],
    parts: NDArray[np.int64],
    seed: int,
) -> QueryFit:
    """Heads p_correct of every backend and gain of every pair, on the features (n) of `rows`.

    `folds` (n,) are held out in turn; `parts` (n,), which cut across them, where what they said is fitted on.
    """
    size = 2**featurizer.spec.bits
    both = np.hstack([rows.reward, np.log1p(rows.tokens)])
    texts = [found.buckets for found in features]
    crossed, penalty, rarity = _ridge(texts, size, both, len(rows.backends), folds)
    scores = crossed.held_out  # (n, 2 B)
    dense = np.array([found.dense for found in features])
    space = fit_text_space(texts, size, seed)
    places = np.array([space.of(found.buckets) for found in features])
    joint = fit_joint(scores, dense, places, rows.reward, rows.tokens, folds, seed)
    pieces = [dense, scores, places] + ([] if joint is None else [joint.lengths])
    x = np.hstack(pieces).astype(np.float32)
    numbered = [(rows.backends.index(one), rows.backends.index(other)) for one, other in pairs]
    names, mix, shift, targets = _heads_wanted(rows, numbered)
    linear = np.clip(scores @ mix.T + shift, 0.0, 1.0)
    rounds = next((count for most, count in _ROUNDS.items() if len(rows.backends) <= most), _FEWEST_ROUNDS)
    fitted, metrics = [], {}
    plain = dense.shape[1] + scores.shape[1]
    # shared trees see all backends' sides at once: beside them a ridge per head chose no better (see DECISIONS.md)
    numbers, grown_on = None, _Numbers(x, {})
    if joint is None:
        told = scores_while_held_out(texts, size, both, folds, penalty, rarity, scores)
        seen = {part: np.hstack([dense, one, places]).astype(np.float32) for part, one in told.items()}
        numbers, grown_on = fit_row_ridge(x, targets, folds, seen), _Numbers(x, seen)
        if not _coordinates_help(grown_on, plain, targets[:, -1], folds, seed, rounds):
            grown_on = grown_on.first(plain)
    for place, name in enumerate(names):
        shared = None if joint is None else joint.rewards[:, place]
        sums = [linear[:, place]] + ([] if numbers is None else [numbers.held_out[:, place]])
        head = _fit_head(grown_on, sums, targets[:, place], folds, seed + 1000 * place, rounds, shared)
        fitted.append(head)
        metrics.update({f"lost_without_{member}/{name}": lost for member, lost in head.lost.items()})
    held_out = np.stack([head.held_out for head in fitted], axis=1)
    levels = fit_gain_levels(held_out, numbered, rows.reward, parts)
    if levels is not None:
        held_out[:, len(rows.backends) :] = levels.held_out
    for place, name in enumerate(names):
        metrics.update(_measure(name, held_out[:, place], targets[:, place], seed))
    blend = np.zeros((len(fitted), len(MEMBERS)))
    for place, head in enumerate(fitted):
        blend[place, : len(head.blend)] = head.blend
    heads = QueryHeads(
        names, crossed.full, space, mix, shift,
        np.array([head.base for head in fitted]), blend,
        tuple(head.trees for head in fitted), tuple(head.curve for head in fitted),
        None if joint is None else joint.model, numbers.full if numbers is not None and blend[:, 3].any() else None,
        None if levels is None else levels.full,
    )  # fmt: skip
    return QueryFit(heads, held_out, x, metrics)


def _heads_wanted(
    rows: FitRows, pairs: Sequence[tuple[int, int]]
) -> tuple[tuple[str, ...], Floats, Floats, Floats]:
    """Names of the heads, `mix` and `shift` of their linear members (see `QueryHeads`), their targets (n, heads)."""
    names, mixes, shifts, targets = [], [], [], []
    unit = np.eye(2 * len(rows.backends))
    for place, backend in enumerate(rows.backends):
        names.append(f"p_correct/{backend}")
        mixes.append(unit[place])
        shifts.append(0.0)
        targets.append(rows.reward[:, place])
    for a, b in pairs:
        names.append(f"gain/{rows.backends[a]}/{rows.backends[b]}")
        mixes.append(0.5 * (unit[a] - unit[b]))
        shifts.append(0.5)
        targets.append((rows.reward[:, a] - rows.reward[:, b] + 1) / 2)
    return tuple(names), np.array(mixes), np.array(shifts), np.stack(targets, axis=1)


def _ridge(
    texts: list[NDArray[np.int64]], size: int, y: Floats, backends: int, folds: NDArray[np.int64]
) -> tuple[CrossFit, float, float]:
    """The fit, its penalty and rarity: those of the smallest held-out error, of a few that did well on public data."""
    many = len(texts) > 4000 or backends > 4  # the choice itself costs: large recordings agree on it
    choices = [(5.0, 1.0)] if many else [(5.0, 0.0), (5.0, 1.0), (15.0, 0.0)]
    best: tuple[CrossFit, float, float] | None = None
    lowest = np.inf
    for penalty, rarity in choices:
        found = fit_hashed(texts, size, y, folds, penalty, rarity)
        loss = float(np.nanmean((found.held_out - y)[:, :backends] ** 2))  # some reward is known
        if best is None or loss < lowest:
            best, lowest = (found, penalty, rarity), loss
    assert best is not None  # noqa: S101 (for the type checker: there is always a choice)
    return best


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Rows of numbers of which some were fitted on labels."""

    x: NDArray[np.float32] = field(compare=False)  # (n, r) each without the labels of its own fold
    # fold -> the same without its labels, too; {}: as they are
    seen: Mapping[int, NDArray[np.float32]] = field(compare=False)

    def while_held_out(self, part: int) -> NDArray[np.float32]:
        """The rows on which something is fitted that is judged on this fold."""
        return self.seen.get(part, self.x)

    def first(self, columns: int) -> _Numbers:
        """The first columns alone."""
        return _Numbers(self.x[:, :columns], {part: rows[:, :columns] for part, rows in self.seen.items()})


def _fit_head(
    rows: _Numbers,
    sums: Sequence[Floats],
    y: Floats,
    folds: NDArray[np.int64],
    seed: int,
    rounds: int,
    shared: Floats | None,
) -> _Head:
    """`sums`: what the ridges over n-grams and, where there is one, over numbers say of held-out rows, (n,) each.

    `shared` (n,): what trees that are not this head's alone say of them; None: it grows its own.
    """
    known = np.flatnonzero(np.isfinite(y))
    count = len(known)
    base = (float(y[known].sum()) + 0.5) / (count + 1)  # towards 1/2: three right of three is not certainty
    held_out = np.full(len(y), base)
    alone = _Head(base, np.ones(1), None, constant_curve(base), held_out)
    parts = np.unique(folds[known])
    if count < _ENOUGH or float(np.ptp(y[known])) == 0 or len(parts) < 2:
        return alone
    y_known, fold_known = y[known], folds[known]
    weight = np.ones(count)
    bases = np.full(len(y), base)
    trees = _cross_fitted(rows, y, base, folds, seed, rounds) if shared is None else shared
    for part in np.unique(folds):
        inside, outside = fold_known != part, folds == part
        if not inside.any():
            continue
        bases[outside] = (y_known[inside].sum() + 0.5) / (inside.sum() + 1)
    members = np.column_stack([bases, sums[0], trees, *sums[1:]])
    blend, mixed = guarded_blend(members[known], y_known, weight, fold_known)
    if blend[0] == 1.0:
        return alone
    lost = _lost(members[known], y_known, weight, fold_known, mixed)
    everywhere = members @ blend
    everywhere[known] = mixed
    served = None
    if shared is None and blend[2] > 0:
        served = _trees(rounds).fit(rows.x[known], y_known, weight, seed)
    curve = fit_curve(mixed, y_known, weight, fold_known)
    for part in np.unique(folds):
        inside, outside = fold_known != part, folds == part
        if inside.any():
            held_out[outside] = fit_curve(mixed[inside], y_known[inside], weight[inside], fold_known[inside])(
                everywhere[outside]
            )
    return _Head(base, blend, served, curve, held_out, lost)


def _lost(
    members: Floats, y: Floats, weight: Floats, folds: NDArray[np.int64], mixed: Floats
) -> dict[str, float]:
    """The ablation: by how much the held-out Brier skill falls when a member is left out of the blend."""
    whole = brier_skill(mixed, y)
    lost = {}
    for place, name in enumerate(MEMBERS[: members.shape[1]]):
        if place:
            _, rest = guarded_blend(np.delete(members, place, axis=1), y, weight, folds)
            lost[name] = whole - brier_skill(rest, y)
    return lost


def _cross_fitted(
    rows: _Numbers, y: Floats, base: float, folds: NDArray[np.int64], seed: int, rounds: int
) -> Floats:
    """What trees say of every row while its fold is held out, (n,); `base` where nothing is left to grow them on."""
    found = np.full(len(y), base)
    for part in np.unique(folds).tolist():
        inside, outside = np.isfinite(y) & (folds != part), folds == part
        if inside.sum() > 1:
            x = rows.while_held_out(part)
            model = _trees(rounds).fit(x[inside], y[inside], np.ones(int(inside.sum())), seed)
            found[outside] = model.predict(x[outside])
    return found


def _coordinates_help(
    rows: _Numbers, plain: int, y: Floats, folds: NDArray[np.int64], seed: int, rounds: int
) -> bool:
    """Whether trees over all of the rows err less on held-out rows than trees over its first `plain` columns.

    They do where queries come in kinds; where every text is unlike the others they are noise to grow on.
    """
    known = np.isfinite(y)
    if known.sum() < _ENOUGH:
        return True  # no trees will be grown
    errors = []
    for columns in (plain, rows.x.shape[1]):
        held_out = _cross_fitted(rows.first(columns), y, float(y[known].mean()), folds, seed, rounds)
        errors.append(float(np.mean((held_out[known] - y[known]) ** 2)))
    return errors[1] < errors[0]


def _trees(rounds: int) -> Trees:
    """Small and slow: what a query alone tells is mostly noise."""
    return Trees(rounds, rate=0.04, rows_per_leaf=60, features=0.3)


def _measure(name: str, p: Floats, y: Floats, seed: int) -> dict[str, float]:
    known = np.isfinite(y)
    if not known.any():
        return {}
    p, y = p[known], y[known]
    rng = np.random.default_rng(seed)
    return {
        f"brier_skill/{name}": brier_skill(p, y),
        f"log_loss/{name}": log_loss(p, y),
        f"ece/{name}": ece_debiased(p, y, rng, draws=50),
    }
