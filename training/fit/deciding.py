"""Fit what decides besides heads: risk curves and values of going on, the plan table, typical queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from predictors.bundle import Bundle
from predictors.plan_table import PlanTable
from predictors.typical_queries import MOST, TypicalQueries
from router.domain.plan import Plan
from training.first_looks import held_out_first_looks
from training.fit.heads import Fitted
from training.fit.hop import fit_hop_values
from training.fit.risk import fit_risk_curves
from training.plan_outcomes import PlanOutcomes

Floats = NDArray[np.float64]
_MOST_LOOKED_AT = 4000  # queries; more would narrow the bounds by little


def after_an_answer(fitted: Fitted) -> Fitted:
    """The fit with risk curves and values of going on in its bundle; without confidences there are none."""
    bundle, names = fitted.bundle, fitted.rows.backends
    if bundle.sample_head is None or len(names) < 2:
        return fitted
    confidence, reward = held_out_first_looks(fitted, _MOST_LOOKED_AT)
    right = fitted.query.held_out[:, : len(names)]
    hops = tuple(
        fit_hop_values(names, first, right, confidence[None, :, first], fitted.rows.reward)
        for first in range(len(names))
    )
    deciding = replace(bundle.deciding, risks=fit_risk_curves(names, confidence, reward), hops=hops)
    return replace(fitted, bundle=replace(bundle, deciding=deciding))


def over_plans(
    fitted: Fitted,
    bundle: Bundle,
    plans: Mapping[str, Plan],
    rows: Sequence[int],
    outcomes: PlanOutcomes | None,
) -> Bundle:
    """The bundle with the table over its plans, and the typical queries as it sees them.

    `outcomes` are those of the plans of several samples or stages on the fit's `rows`.
    """
    number = {name: place for place, name in enumerate(fitted.rows.backends)}
    replayed = (
        {} if outcomes is None else {plan: outcomes.reward[:, at] for at, plan in enumerate(outcomes.plans)}
    )
    places = list(rows) if replayed else list(range(len(fitted.rows.texts)))
    names, reward, alone = [], [], []
    for name, plan in plans.items():
        first = number.get(plan.stages[0].backend)
        if first is None:
            continue
        own = fitted.rows.reward[places, first]
        single = len(plan.stages) == 1 and plan.stages[0].max_samples == 1
        got = own if single else replayed.get(name)
        if got is not None and np.isfinite(got).any() and np.isfinite(own).any():
            both = np.isfinite(got) & np.isfinite(own)  # a difference is one of the same queries
            names.append(name)
            reward.append(np.where(both, got, np.nan))
            alone.append(np.where(both, own, np.nan))
    deciding = bundle.deciding
    if names and np.isfinite(reward).any(axis=1).all():
        difficulty = fitted.query.held_out[places, : len(number)].mean(axis=1)
        table = PlanTable.of(tuple(names), difficulty, np.stack(reward, axis=1), np.stack(alone, axis=1))
        deciding = replace(deciding, table=table)
    bundle = replace(bundle, deciding=deciding)
    some = np.sort(np.random.default_rng(bundle.card.seed).permutation(len(fitted.rows.texts))[:MOST])
    return replace(bundle, deciding=replace(deciding, typical=typical_queries(fitted, bundle, some.tolist())))


def typical_queries(fitted: Fitted, bundle: Bundle, some: Sequence[int]) -> TypicalQueries:
    """Held-out signals of some rows of the fit's queries, at least one."""
    looks = [bundle.name(fitted.query.held_out[place], fitted.query.x[place]) for place in some]
    kept = [
        name
        for name in looks[0]
        if name.partition("/")[0] in {"p_correct", "tokens_out", "plan_quality", "plan_samples"}
    ]
    values = np.array([[look[name] for name in kept] for look in looks]).reshape(len(some), len(kept))
    return TypicalQueries(
        tuple(kept), values, np.array([float(len(fitted.rows.texts[place])) for place in some])
    )
