"""Learn a bundle from the log of decisions and their rewards, on one outcome per query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace

import numpy as np
from numpy.typing import NDArray

from predictors.bundle import Bundle
from predictors.typical_queries import MOST
from router.config import Config
from router.configuration.build_plans import build_plans
from router.costs.price_list import PriceList
from router.domain.plan import Plan
from router.learned_plans.risk_thresholds import resolve_risks
from router.pricing.demand import HOUR_S, HOURS, hourly_shares
from training.fit.deciding import after_an_answer, over_plans, typical_queries
from training.fit.heads import Fitted, fit_held_out, versioned
from training.fit.log_rows import CAP, LogRows, log_rows
from training.fit.plans import fit_plan_heads, head_inputs, with_enough
from training.fit.stops import kept_from, with_self_evals
from training.log.read import DecisionLog

Floats = NDArray[np.float64]
DAY_S = 86_400.0
PAIRED = 200  # queries that two backends answered, from which confidences are calibrated for risks


def fit_log(
    log: DecisionLog,
    reward: Floats,
    config: Config,
    *,
    seed: int = 0,
    cap: int = CAP,
    created: str = "",
    now_s: float = 0.0,
    before: Bundle | None = None,
) -> tuple[Bundle, LogRows]:
    """The bundle, and what it was fitted on. Raises `FitError` for fewer than 10 labelled queries.

    `reward` (n,) as `reward_decisions` gives them. The draws of the log are no part of the model: rows are missing at
    random given the features, and propensities are for `training.off_policy`, which says whether it is any better.
    `before`: the bundle that what only recordings teach is kept from.
    """
    plans = build_plans(config)
    found = log_rows(
        log, reward, plans, tuple(config.backends), cap=cap, seed=seed, answer_kind=config.answers
    )
    prices = {name: asdict(price) for name, price in PriceList(config).prices(now_s).items()}
    paired = int((np.isfinite(found.rows.reward).sum(axis=1) > 1).sum())
    fitted = fit_held_out(found.rows, seed, prices=prices, created=created, per_fold=paired >= PAIRED)
    if paired >= PAIRED:
        fitted = after_an_answer(fitted)
    bundle = with_self_evals(fitted.bundle, log, reward, plans)
    fitted = replace(fitted, bundle=bundle if before is None else kept_from(before, bundle))
    bundle = _with_plans(fitted, plans, found)
    return versioned(_with_hours(fitted, bundle, found, hours_of(log.times()))), found


def hours_of(times: Floats) -> tuple[float, ...]:
    """How busy each hour of a day is, by the log's last whole days (times in seconds since the epoch, rising).

    Nothing where the log is shorter than a day: hours that it did not see would look quiet.
    """
    days = int((times[-1] - times[0]) // DAY_S) if len(times) else 0
    return hourly_shares(times[times > times[-1] - days * DAY_S].tolist()) if days else ()


def _with_hours(fitted: Fitted, bundle: Bundle, found: LogRows, hours: tuple[float, ...]) -> Bundle:
    """Where hours are known: typical queries drawn as they came, a text as often as it did, each with its hour."""
    if not hours or not len(found.at):
        return bundle
    some = np.sort(np.random.default_rng(bundle.card.seed).permutation(len(found.at))[:MOST])
    typical = typical_queries(fitted, bundle, found.asked[some].tolist())
    came = tuple((found.at[some] // HOUR_S % HOURS).astype(int).tolist())
    return replace(
        bundle, deciding=replace(bundle.deciding, typical=replace(typical, hours=hours, came=came))
    )


def _with_plans(fitted: Fitted, plans: Mapping[str, Plan], found: LogRows) -> Bundle:
    resolved, _ = resolve_risks(plans, fitted.bundle)
    digests = {name: plan.digest for name, plan in resolved.items()}
    bundle = replace(fitted.bundle, card=replace(fitted.bundle.card, plans=digests))
    composed = [plan for plan in plans.values() if len(plan.stages) > 1 or plan.stages[0].max_samples > 1]
    outcomes = with_enough(found.outcomes)
    if composed and outcomes.plans:
        inputs = np.array([head_inputs(fitted, row) for row in range(len(fitted.rows.texts))])
        heads, metrics = fit_plan_heads(inputs, outcomes, fitted.folds, one_each=True)
        card = replace(
            bundle.card,
            plan_heads=heads.plans,
            plan_samples=heads.samples,
            metrics=dict(bundle.card.metrics) | metrics,
        )
        bundle = replace(bundle, card=card, plan_heads=heads)
    return over_plans(fitted, bundle, {}, (), None)
