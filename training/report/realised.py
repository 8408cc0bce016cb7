"""What was realised: rewards by plan where `apply` served, and whether what was promised came true."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from predictors.calibration import brier_skill, ece_debiased
from router.domain.decision import Mode
from router.domain.usage import told_dollars
from training.report.intervals import Interval, wilson
from training.report.rewards import Rewards
from training.report.rows import Row

ENOUGH_TO_CALIBRATE = 50  # rewarded rows; 10 bins of 5
DRAWS_TIMES_ROWS = 2_000_000  # of the calibration floor, so that large logs take a second


def realised(rows: Iterable[Row], rewards: Rewards) -> dict[str, Any]:
    """Per plan: queries, cost, and the mean reward where outcomes are known."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.mode is Mode.APPLY and row.replied:
            groups[row.plan].append(row)
    if not groups:
        return {"skipped": "no answered row of mode apply"}
    everything = [row for group in groups.values() for row in group]
    return {
        "plans": {name: _of_plan(group, rewards) for name, group in sorted(groups.items())},
        "all": _of_plan(everything, rewards),
    }


def _of_plan(rows: Sequence[Row], rewards: Rewards) -> dict[str, Any]:
    seen = [rewards.by_decision[row.decision_id] for row in rows if row.decision_id in rewards.by_decision]
    mean = float(np.mean(seen)) if seen else 0.0
    return {
        "queries": len(rows),
        "usable": sum(row.usable for row in rows),
        "cost": per_thousand(rows),
        "rewarded": len(seen),
        "reward": interval(wilson(mean, len(seen))) if seen else {"skipped": "no outcome"},
    }


def calibration(rows: Iterable[Row], rewards: Rewards) -> dict[str, Any]:
    """What was promised against what was reported: the reply's confidence, and the quality forecast before it."""
    confidence: list[tuple[float, float]] = []
    forecast: list[tuple[float, float]] = []
    for row in rows:
        reward = rewards.by_decision.get(row.decision_id)
        if reward is None:
            continue
        if row.confidence is not None and math.isfinite(row.confidence):
            confidence.append((row.confidence, reward))
        expected = row.forecasts.get(row.plan, (None, 0.0))[0]
        if expected is not None and math.isfinite(expected):
            forecast.append((expected, reward))
    return {"confidence": _calibrated(confidence), "expected_reward": _calibrated(forecast)}


def _calibrated(pairs: Sequence[tuple[float, float]]) -> dict[str, Any]:
    if len(pairs) < ENOUGH_TO_CALIBRATE:
        return {"skipped": f"{len(pairs)} rows have both; {ENOUGH_TO_CALIBRATE} are needed"}
    p, y = np.clip(np.array(pairs, dtype=np.float64).T, 0.0, 1.0)
    draws = max(10, min(200, DRAWS_TIMES_ROWS // len(p)))
    return {
        "rows": len(p),
        "mean": float(p.mean()),
        "reward": float(y.mean()),
        "ece": ece_debiased(p, y, np.random.default_rng(0), draws=draws),
        "brier_skill": brier_skill(p, y),
    }


def dollars(rows: Iterable[Row]) -> float:
    """What the rows cost together."""
    return told_dollars(_micros(rows))


def per_thousand(rows: Sequence[Row]) -> float:
    """What a thousand such queries cost, dollars; of at least one."""
    return told_dollars(1000 * _micros(rows) / len(rows))


def _micros(rows: Iterable[Row]) -> float:
    return math.fsum(row.cost for row in rows if math.isfinite(row.cost))


def interval(found: Interval, factor: float = 1.0) -> dict[str, float | None]:
    """As JSON; a bound that is infinite is null."""
    scaled = found.scaled(factor)
    return {
        key: value if math.isfinite(value) else None
        for key, value in (("mean", scaled.mean), ("lo", scaled.lo), ("hi", scaled.hi))
    }
