"""Everything that a report says, as JSON types: from the rows and outcomes of a log alone.

Money: `dollars` are dollars, `cost` is $ per 1,000 queries. Savings are in percent, quality differences in points,
rewards, shares and calibration errors are fractions. An interval is {"mean", "lo", "hi"} at 95 %; what cannot be said
is {"skipped": "why"}.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from router.domain.decision import Mode
from router.shadow import AGREES
from training.report.intervals import wilson
from training.report.observed import Picked, observed_of, pick, runs_of
from training.report.prediction import ENOUGH_RUNS, Money, Observed, Worth, predict_money, predict_worth
from training.report.realised import calibration, dollars, interval, per_thousand, realised
from training.report.rewards import Rewards, rewards_of
from training.report.rows import Log, Row

# Student's t is 2.26 there, within 15 % of the normal distribution's 1.96; at 5 it is 2.78, at 2 it is 12.7, and
# bounds on the logarithm of a cost then span orders of magnitude: they say nothing.
ENOUGH_SESSIONS = 10

# A plan that never ran is believed as far as the reference's forecast proved right; this far off it gives no bounds.
FAR_OFF = 4.0  # times
UNSEEN = 0.1  # of the expected cost: less than that may be guessed


def report(
    log: Log, *, metric: str = "", labels: Mapping[str, float] | None = None, labelled: float = math.inf
) -> dict[str, Any]:
    """The whole report. `labelled`: queries that the bundle was fitted on; infinity: not known."""
    shadows = [row for row in log.rows if row.shadow_of]
    rows = [row for row in log.rows if not row.shadow_of]
    rewards = rewards_of(rows, log.outcomes, metric, labels or {})
    picked = pick(rows)
    return {
        "rows": _rows(log, rows, shadows, picked),
        "traffic": _traffic(rows),
        "dollars": _spend(rows, shadows),
        "outcomes": _outcomes(log, rewards),
        "observe": _observe(picked, shadows, rewards, labelled),
        "apply": realised(rows, rewards),
        "calibration": calibration(rows, rewards),
        "shadow": _shadow(shadows, picked),
    }


def _rows(log: Log, rows: Sequence[Row], shadows: Sequence[Row], picked: Picked) -> dict[str, Any]:
    left_out = Counter(picked.left_out)
    used = len(picked.rows)
    for row in rows:
        if row.mode is Mode.OBSERVE:
            continue
        if row.replied:
            used += 1
        else:
            left_out["decided only" if row.stop_reason == "decided" else row.status.value] += 1
    left_out["cannot be decoded"] += log.unreadable
    return {
        "read": len(log.rows),
        "used": used,
        "shadow_runs": len(shadows),
        "left_out": {reason: count for reason, count in left_out.most_common() if count},
        "first": rows[0].created_at if rows else None,
        "last": rows[-1].created_at if rows else None,
        "spooled": log.spooled,
    }


def _traffic(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """By mode and plan."""
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.mode.value, row.plan].append(row)
    return [
        {
            "mode": mode,
            "plan": plan,
            "decisions": len(group),
            "replied": sum(row.replied for row in group),
            "dollars": dollars(group),
            "cost": per_thousand(group),
            "latency_s": float(np.median([row.latency_s for row in group])),
        }
        for (mode, plan), group in sorted(groups.items())
    ]


def _spend(rows: Sequence[Row], shadows: Sequence[Row]) -> dict[str, float]:
    spend = {
        mode.value: dollars([row for row in rows if row.mode is mode])
        for mode in Mode
        if any(row.mode is mode for row in rows)
    }
    return {"total": dollars([*rows, *shadows]), **spend, "shadow": dollars(shadows)}


def _outcomes(log: Log, rewards: Rewards) -> dict[str, Any]:
    left_out = dict(rewards.left_out)
    if log.superseded:
        left_out["superseded by a later report"] = log.superseded
    return {
        "metric": rewards.metric,
        "metrics": dict(rewards.metrics),
        "used": rewards.used,
        "decisions": len(rewards.by_decision),
        "left_out": left_out,
    }


def _observe(picked: Picked, shadows: Sequence[Row], rewards: Rewards, labelled: float) -> dict[str, Any]:
    if not picked.rows:
        return {"skipped": "no row of mode observe can be used"}
    seen = observed_of(picked)
    sessions = len(np.unique(seen.session))
    if sessions < ENOUGH_SESSIONS:
        why = f"too few rows: {sessions} observed queries or sessions; intervals begin at {ENOUGH_SESSIONS}"
        return {"skipped": why}
    runs = runs_of(shadows, seen, picked.bundle)
    found: dict[str, Any] = {
        "queries": len(picked.rows),
        "sessions": sessions,
        "reference": picked.reference,
        "bundle": picked.bundle,
        "labelled": labelled if math.isfinite(labelled) else None,
        "shares": dict(zip(seen.plans, seen.probability.mean(axis=0).tolist(), strict=True)),
        "drawn": _shares(row.would_plan for row in picked.rows),
    }
    if seen.cost.sum() > 0:
        money = predict_money(seen, runs, labelled)
        guess = _guess(seen, money)
        found |= _money(money) if not guess else {"saving": {"skipped": guess}}
    else:
        found["saving"] = {"skipped": "the reference cost nothing: do its backends have prices?"}
    found |= _worth(predict_worth(seen, labelled), seen, picked.bundle)
    known = np.array(
        [
            (reward, row.forecasts[row.plan][0])
            for row in picked.rows
            if (reward := rewards.by_decision.get(row.decision_id)) is not None
            and row.forecasts[row.plan][0] is not None
        ]
    )
    if len(known):
        found["reference_reward"] = interval(wilson(float(known[:, 0].mean()), len(known)))
        found["reference_expected_there"] = float(known[:, 1].mean())
    return found


def _guess(seen: Observed, money: Money) -> str:
    """Why the cost of plans that hardly ran is only a guess; "" where it is not, or hardly matters."""
    ratio = money.ratios[seen.plans[seen.reference]].real_over_forecast
    never = np.array([money.ratios[plan].runs == 0 for plan in seen.plans]) & (seen.probability > 0).any(
        axis=0
    )
    unseen = float((seen.probability * seen.forecast)[:, never].sum(axis=1).mean())
    if 1 / FAR_OFF <= ratio <= FAR_OFF or unseen <= UNSEEN * money.apply.mean:
        return ""
    plans = ", ".join(plan for plan, missing in zip(seen.plans, never, strict=True) if missing)
    return (
        f"not known: {seen.plans[seen.reference]} cost {ratio:.2g} of its forecast, and {plans} ran "
        f"fewer than {ENOUGH_RUNS} times, so that their cost is a guess: fit a bundle, which learns "
        "lengths, or let [shadow] run them"
    )


def _not_learned(seen: Observed, bundle: str) -> str:
    """Which plans keep the quality from being known, and what helps."""
    drawn = seen.probability > 0
    drawn[:, seen.reference] = True
    missing = np.flatnonzero((drawn & ~np.isfinite(seen.quality)).any(axis=0))
    names = ", ".join(seen.plans[place] for place in missing)
    return f"bundle {bundle} has not learned {names}; fit one that has, or take those plans out until then"


def _shares(names: Iterable[str]) -> dict[str, float]:
    counts = Counter(names)
    return {name: count / counts.total() for name, count in counts.most_common()}


def _money(money: Money) -> dict[str, Any]:
    return {
        "cost_reference": money.reference * 1e-3,
        "cost_apply": interval(money.apply, 1e-3),
        "saving": interval(money.saving, 100),
        "real_over_forecast": {
            name: {"ratio": ratio.real_over_forecast, "runs": ratio.runs}
            for name, ratio in money.ratios.items()
            if ratio.runs
        },
    }


def _worth(worth: Worth | None, seen: Observed, bundle: str) -> dict[str, Any]:
    if worth is None:
        why = "no query has a known quality of every plan that might be drawn: "
        why += _not_learned(seen, bundle) if bundle else "serve with a bundle"
        return {"quality_difference": {"skipped": why}}
    return {
        "quality_reference": worth.reference,
        "quality_apply": interval(worth.apply),
        "quality_difference": interval(worth.difference, 100),
        "quality_queries": worth.rows,
        "quality_unknown": len(seen.cost) - worth.rows,
    }


def _shadow(shadows: Sequence[Row], picked: Picked) -> dict[str, Any]:
    if not shadows:
        return {"skipped": "no shadow runs ([shadow] share and dollars)"}
    served = {row.decision_id: row for row in picked.rows}
    mine = [row for row in shadows if row.shadow_of in served]
    compared = [row.metadata[AGREES] == "yes" for row in mine if AGREES in row.metadata]
    found: dict[str, Any] = {
        "runs": len(shadows),
        "answered": sum(row.replied for row in shadows),
        "failed": _shares_counted(row.status.value for row in shadows if not row.replied),
        "compared": len(compared),
        "plans": {
            name: {"runs": len(group), "cost": per_thousand(group)}
            for name, group in _by_plan(row for row in shadows if row.replied).items()
        },
    }
    if compared:
        agree = wilson(sum(compared) / len(compared), len(compared))
        other = sum(row.would_plan != row.plan for row in picked.rows) / len(picked.rows)
        found["agree"] = interval(agree)
        # an answer that is the same is as right: only answers that differ can be better or worse
        found["quality_cannot_differ_by_more_than"] = 100 * other * (1 - agree.lo)
    return found


def _shares_counted(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(names).most_common())


def _by_plan(rows: Iterable[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.plan].append(row)
    return dict(sorted(groups.items()))
