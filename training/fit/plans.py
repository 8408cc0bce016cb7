"""Fit the heads over whole plans: expected reward, and samples of each stage.

Plans are replayed on at most 3,000 of the fit's queries with held-out signals, on few queries in several orders of
their samples; reward and samples are then regressed on what was known before the first token. Plans of one sample
have heads too, though a backend's own head would do: forecasts are compared, and of two that were learned apart the one
that errs upwards is chosen. For the same reason a plan's reward is learned as the plans' common level plus its own
deviation, each shrunk as its held-out error asks, so that small differences between plans are not mistaken for large
ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from predictors.bundle import Bundle
from predictors.calibration import Curve, brier_skill, constant_curve, fit_curve
from predictors.plan_heads import PlanHeads, plan_inputs
from router.config import Config
from router.configuration.build_plans import build_plans
from router.domain.plan import Plan
from router.learned_plans.risk_thresholds import resolve_risks
from router.recording import Recording
from training.fit.deciding import over_plans
from training.fit.heads import Fitted
from training.fit.stops import with_learned_stops
from training.held_out import HeldOut
from training.plan_outcomes import PlanOutcomes, replay_plans, stage_columns

Floats = NDArray[np.float64]
_MOST_QUERIES = 3000  # the heads have some 150 coefficients; more would cost minutes and change nothing
_MOST_ORDERS = 4  # of a query's samples: what one order gives is mostly its luck
_ENOUGH = 30  # queries on which a plan ran; with fewer it has no head
_PENALTIES = (30.0, 300.0, 3000.0, 30_000.0)  # rows
_CUT = 5.0  # standard deviations, as `PlanHeads` cuts


def with_plan_heads(fitted: Fitted, recordings: Sequence[Recording], config: Config, seed: int) -> Bundle:
    """The bundle with the configuration's plans on its card, and heads for those that need one."""
    written = build_plans(config)
    recorded_as = {name: section.recorded_as or name for name, section in config.backends.items()}
    bundle = with_learned_stops(fitted, fitted.bundle, recordings, written, recorded_as, seed)
    fitted = replace(fitted, bundle=bundle)
    plans, _ = resolve_risks(written, bundle)
    digests = {name: plan.digest for name, plan in plans.items()}
    bundle = replace(bundle, card=replace(bundle.card, plans=digests))
    composed = [plan for plan in plans.values() if len(plan.stages) > 1 or plan.stages[0].max_samples > 1]
    if not composed:  # nothing that a backend's own head is compared with
        return over_plans(fitted, bundle, plans, (), None)
    rows, outcomes = _outcomes(fitted, recordings, config, list(plans.values()), seed)
    outcomes = with_enough(outcomes)
    if not outcomes.plans:
        return over_plans(fitted, bundle, plans, (), None)
    inputs = np.array([head_inputs(fitted, row) for row in rows])
    heads, metrics = fit_plan_heads(inputs, outcomes, fitted.folds[rows])
    card = replace(
        bundle.card,
        plan_heads=heads.plans,
        plan_samples=heads.samples,
        metrics=dict(bundle.card.metrics) | metrics,
        counts=dict(bundle.card.counts) | {"queries_replayed": float(len(rows))},
    )
    return over_plans(fitted, replace(bundle, card=card, plan_heads=heads), plans, rows, outcomes)


def _outcomes(
    fitted: Fitted, recordings: Sequence[Recording], config: Config, plans: Sequence[Plan], seed: int
) -> tuple[list[int], PlanOutcomes]:
    """Rows of the fit that were replayed, and what the plans gave on them."""
    count = len(fitted.rows.texts)
    drawn = np.random.default_rng(seed).permutation(count)[:_MOST_QUERIES]
    orders = min(_MOST_ORDERS, _MOST_QUERIES // len(drawn), _deepest(recordings))
    chosen: list[int] = []
    parts: list[PlanOutcomes] = []
    for number, recording in enumerate(recordings):
        places = [place for place in sorted(drawn.tolist()) if fitted.rows.ids[place][0] == number]
        if not places:
            continue
        by_id = {fitted.rows.ids[place][1]: place for place in places}
        parts.append(replay_plans(config, recording, list(by_id), plans, HeldOut(fitted, by_id), orders))
        chosen += places
    joined = replace(
        parts[0],
        reward=np.concatenate([part.reward for part in parts]),
        samples=np.concatenate([part.samples for part in parts]),
    )
    return chosen, joined


def _deepest(recordings: Sequence[Recording]) -> int:
    """The most finished samples that a backend has of a query, at least 1."""
    found = 1
    for recording in recordings:
        seen = recording.columns
        cell = (
            seen.query[seen.finished].astype(np.int64) * len(recording.backends) + seen.backend[seen.finished]
        )
        found = max(found, int(np.bincount(cell).max(initial=1)))
    return found


def with_enough(outcomes: PlanOutcomes) -> PlanOutcomes:
    """Without the plans that ran too seldom for a head."""
    ran = np.isfinite(outcomes.reward).sum(axis=0) >= _ENOUGH
    return _only(outcomes, np.flatnonzero(ran))


def _only(outcomes: PlanOutcomes, kept: NDArray[np.intp]) -> PlanOutcomes:
    first = np.append(0, np.cumsum(outcomes.stages))
    columns = [column for place in kept for column in range(first[place], first[place + 1])]
    return PlanOutcomes(
        tuple(outcomes.plans[place] for place in kept),
        tuple(outcomes.stages[place] for place in kept),
        outcomes.reward[:, kept],
        outcomes.samples[:, columns],
    )


def head_inputs(fitted: Fitted, row: int) -> Floats:
    """What plan heads read of one of the fit's queries, held out."""
    heads = fitted.query.held_out[row]
    right = heads[: len(fitted.rows.backends)]
    both = right * right + fitted.bundle.rho * (right - right * right)
    return plan_inputs(heads, both, fitted.query.x[row])


def fit_plan_heads(
    inputs: Floats, outcomes: PlanOutcomes, folds: NDArray[np.int64], *, one_each: bool = False
) -> tuple[PlanHeads, dict[str, float]]:
    """Heads on `inputs` (n, z) and their held-out figures; `folds` (n,).

    `one_each`: a query shows the outcome of one plan, as in a log. The common level is then what held-out queries are
    expected to earn with whatever ran; else it is the mean over the query's own plans.
    """
    mean, spread = inputs.mean(axis=0), inputs.std(axis=0)
    scale = np.where(spread > 1e-6, 1 / np.maximum(spread, 1e-6), 0.0)
    z = np.hstack([np.clip((inputs - mean) * scale, -_CUT, _CUT), np.ones((len(inputs), 1))])
    curves, metrics, columns = [], {}, []
    level = _level(outcomes.reward)
    common = _cross_fitted(z, level, folds)
    if one_each:
        level = common[1]
    for place, plan in enumerate(outcomes.plans):
        y = outcomes.reward[:, place]
        own = _cross_fitted(z, y - level, folds)
        coef, held_out = common[0] + own[0], common[1] + own[1]
        known = np.isfinite(y)
        p, target, fold = np.clip(held_out[known], 0.0, 1.0), y[known], folds[known]
        skill = brier_skill(p, target)
        if skill > 0:
            curves.append(fit_curve(p, target, np.ones(len(p)), fold))
        else:  # worse than its mean on held-out queries: say the mean
            curves.append(constant_curve(float(target.mean())))
        metrics[f"brier_skill/plan_quality/{plan}"] = max(0.0, skill)
        metrics[f"reward/plan_quality/{plan}"] = float(target.mean())
        columns.append(coef)
    columns += [_cross_fitted(z, drawn, folds)[0] for drawn in outcomes.samples.T]
    most = np.nanmax(outcomes.samples, axis=0)
    names = tuple(stage_columns(outcomes))
    quality: tuple[Curve, ...] = tuple(curves)
    return PlanHeads(outcomes.plans, names, mean, scale, np.stack(columns, axis=1), most, quality), metrics


def _level(reward: Floats) -> Floats:
    """The mean reward of the plans that ran on each query, (n,); NaN where none did."""
    known = np.isfinite(reward)
    total = np.where(known, reward, 0.0).sum(axis=1)
    level = total / np.maximum(1, known.sum(axis=1))
    return np.asarray(np.where(known.any(axis=1), level, np.nan), dtype=np.float64)


def _cross_fitted(z: Floats, y: Floats, folds: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Ridge coefficients (z + 1,) on all rows, and every row's prediction without its fold (n,).

    The penalty is the one with the smallest held-out error.
    """
    known = np.isfinite(y)
    best: tuple[float, float, Floats] | None = None
    for penalty in _PENALTIES:
        held_out = np.full(len(y), float(y[known].mean()))
        for part in np.unique(folds):
            inside, outside = known & (folds != part), folds == part
            if inside.sum() > 1:
                held_out[outside] = z[outside] @ _ridge(z[inside], y[inside], penalty)
        error = float(np.mean((held_out[known] - y[known]) ** 2))
        if best is None or error < best[0]:
            best = error, penalty, held_out
    assert best is not None  # noqa: S101 (for the type checker: there is always a penalty)
    return _ridge(z[known], y[known], best[1]), best[2]


def _ridge(z: Floats, y: Floats, penalty: float) -> Floats:
    diagonal = np.append(np.full(z.shape[1] - 1, penalty), 1e-6)  # the intercept is free
    return np.asarray(np.linalg.solve(z.T @ z + np.diag(diagonal), z.T @ y), dtype=np.float64)
