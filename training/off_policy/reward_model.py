"""What every action would give for every row, predicted by ridge models that have not seen the row (cross-fitting).

Plans share one ridge; each departs from it by a ridge of its own, so that a plan drawn ten times says what all have in
common and one drawn ten thousand times what it says itself. Penalties are chosen by held-out squared error, plan by
plan. A plan is mostly drawn where the logging policy likes it and asked about elsewhere: rows count by 1/sqrt(p) in the
fit and by 1/p in the choice of penalties (p the propensity), halfway to and at the error over all queries. (Counted
alike, a plan's line was extrapolated from where it was usual: on 112 queries at exploration .1 the error was half as
large again; by 1/p in the fit, too, few rows carry it and intervals cover less.) All of it comes from one pass of sums
over the rows (X'X, X'y by fold and plan), so that a million rows take seconds. When it fails: interactions that no
feature carries stay in the error, which only widens the interval of whoever corrects by it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from training.off_policy.logged import Floats, Ints, LoggedRows

BLOCK = 65_536  # rows held as float64 at once
FARTHEST = 4.0  # standard deviations; a feature's outliers must not bend a line


@dataclass(frozen=True, slots=True)
class RewardModel:
    """How to fit. Equal rows give equal predictions: folds follow the clusters' numbers."""

    folds: int = 5
    penalties: tuple[float, ...] = (3.0, 30.0, 300.0, 3000.0, 1e6)  # in rows, for features of variance 1
    shared: bool = True  # False: every plan by itself
    fit_power: float = 0.5  # rows count by propensity to the minus this in the fit
    choice_power: float = 1.0  # and in the choice of penalties

    def predict(self, logged: LoggedRows, outcome: Floats) -> Floats:
        """Predictions (n, A), within the outcomes' own range; a plan that was never drawn gets what is shared."""
        sums = _sums(logged, outcome, self.folds, self.fit_power, self.choice_power)
        predicted = np.empty((len(logged), len(logged.actions)))
        coefficients = self._coefficients(sums)  # (K, G, d + 1)
        for block in sums.blocks(logged):
            out = predicted[block.rows]
            for k in range(self.folds):
                mine = block.of_fold(k)
                out[block.order[mine]] = (block.design[mine] @ coefficients[k].T)[:, sums.group]
        predicted += sums.centre
        if len(outcome):
            np.clip(predicted, outcome.min(), outcome.max(), out=predicted)
        return predicted

    def _coefficients(self, sums: _Sums) -> Floats:
        fit, choice = sums.fit, sums.choice
        folds, width = fit.moment.shape[1:]
        shared = np.zeros((folds, width))
        if self.shared:
            shared = self._departures(fit.over_plans(), choice.over_plans(), shared)
        found = np.empty((folds, len(fit.gram), width))
        for group in range(len(fit.gram)):
            found[:, group] = self._departures(fit.of(group), choice.of(group), shared)
        return found

    def _departures(self, fit: _Moments, choice: _Moments, start: Floats) -> Floats:
        """`start` (K, d + 1) and what is added to it, at the penalty with the least held-out error."""
        rest = fit.gram.sum(axis=0) - fit.gram  # each without its fold
        rest_moment = fit.moment.sum(axis=0) - fit.moment
        unexplained = rest_moment - np.einsum("kij,kj->ki", rest, start)
        unit = np.eye(rest.shape[-1])
        unit[0, 0] = 0.0
        best, least = start, np.inf
        for penalty in self.penalties:
            ridge = rest + penalty * unit
            ridge[:, 0, 0] += 1.0  # one row's worth of the start's level
            tried = start + np.linalg.solve(ridge, unexplained[..., None])[..., 0]
            # squared error but for a constant
            error = float(
                np.einsum("ki,kij,kj->", tried, choice.gram, tried)
                - 2 * np.einsum("ki,ki->", tried, choice.moment)
            )
            if error < least:
                best, least = tried, error
        return best


@dataclass(slots=True)
class Fits:
    """Predictions of one outcome over one log, each model fitted once, when it is first asked for."""

    logged: LoggedRows
    outcome: Floats
    _found: dict[RewardModel, Floats] = field(default_factory=dict)

    def predicted(self, model: RewardModel) -> Floats:
        """(n, A)."""
        if model not in self._found:
            self._found[model] = model.predict(self.logged, self.outcome)
        return self._found[model]


@dataclass(frozen=True, slots=True)
class _Moments:
    """X'WX and X'Wy by plan and fold; of one plan, or of all together, without the first axis."""

    gram: Floats  # (G, K, d + 1, d + 1)
    moment: Floats  # (G, K, d + 1)

    def of(self, group: int) -> _Moments:
        """One plan's."""
        return _Moments(self.gram[group], self.moment[group])

    def over_plans(self) -> _Moments:
        """All plans' together."""
        return _Moments(self.gram.sum(axis=0), self.moment.sum(axis=0))


@dataclass(frozen=True, slots=True)
class _Block:
    """Some rows as they are multiplied, sorted by fold, then by plan."""

    rows: slice  # of the log
    order: Ints  # place in the block of each sorted row
    edges: Ints  # (K G + 1,) where each fold's and plan's sorted rows begin
    groups: int
    design: Floats  # (rows, d + 1) standardised, a leading 1, sorted

    def of_fold(self, k: int) -> slice:
        """The sorted rows of a fold."""
        return slice(self.edges[k * self.groups], self.edges[(k + 1) * self.groups])

    def of_cell(self, g: int, k: int) -> slice:
        """The sorted rows of a plan in a fold."""
        place = k * self.groups + g
        return slice(self.edges[place], self.edges[place + 1])


@dataclass(frozen=True, slots=True)
class _Sums:
    """What one pass over the rows leaves, for standardised features and centred outcomes."""

    folds: int
    group: Ints  # (A,) each action's plan
    mean: Floats  # (d,)
    scale: Floats  # (d,)
    centre: float  # mean outcome
    fit: _Moments
    choice: _Moments
    kept: list[_Block]  # the only block of a short log, for the second pass

    def blocks(self, logged: LoggedRows) -> Iterator[_Block]:
        """The rows, some at a time: a million of them do not fit twice."""
        if self.kept:
            yield from self.kept
            return
        groups = len(self.fit.gram)
        for start in range(0, len(logged), BLOCK):
            rows = slice(start, start + BLOCK)
            cell = (logged.cluster[rows] % self.folds) * groups + self.group[logged.action[rows]]
            order = np.argsort(cell, kind="stable")
            edges = np.searchsorted(cell[order], np.arange(groups * self.folds + 1))
            found = _Block(rows, order, edges, groups, self._design(logged.features[rows][order]))
            if len(logged) <= BLOCK:
                self.kept.append(found)
            yield found

    def _design(self, features: Floats) -> Floats:
        rows = np.empty((len(features), features.shape[1] + 1))
        rows[:, 0] = 1.0
        inside = rows[:, 1:]
        np.subtract(features, self.mean, out=inside)
        inside /= self.scale
        np.clip(inside, -FARTHEST, FARTHEST, out=inside)
        return rows


def _sums(logged: LoggedRows, outcome: Floats, folds: int, fit_power: float, choice_power: float) -> _Sums:
    names = {name: place for place, name in enumerate(dict.fromkeys(logged.plans))}
    count, width = len(logged), logged.features.shape[1] + 1
    scale = logged.features.std(axis=0) if count else np.ones(width - 1)
    shape = (len(names), folds, width)
    fit, choice = (_Moments(np.zeros((*shape, width)), np.zeros(shape)) for _ in range(2))
    sums = _Sums(
        folds=folds,
        group=np.array([names[plan] for plan in logged.plans], dtype=np.int64),
        mean=logged.features.mean(axis=0) if count else np.zeros(width - 1),
        scale=np.where(scale > 1e-9, scale, 1.0),  # a constant feature says nothing and must not blow up
        centre=float(outcome.mean()) if count else 0.0,
        fit=fit,
        choice=choice,
        kept=[],
    )
    weights = [_weights(logged.propensity, power) for power in (fit_power, choice_power)]
    for block in sums.blocks(logged):
        centred = (outcome[block.rows] - sums.centre)[block.order]
        for moments, weight in zip((fit, choice), weights, strict=True):
            weighted = block.design * weight[block.rows][block.order][:, None]
            for g in range(len(names)):
                for k in range(folds):
                    mine = block.of_cell(g, k)
                    moments.gram[g, k] += weighted[mine].T @ block.design[mine]
                    moments.moment[g, k] += weighted[mine].T @ centred[mine]
    return sums


def _weights(propensity: Floats, power: float) -> Floats:
    """propensity ** -power, of mean 1, (n,)."""
    weight = propensity**-power
    return np.asarray(weight / weight.mean()) if len(weight) else weight
