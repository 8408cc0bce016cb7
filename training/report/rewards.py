"""From reported outcomes to one reward in [0, 1] per decision.

true is 1, false 0; a number is clipped to [0, 1]; a label has the reward that the user gives it; comments and
demonstrations have none. Several outcomes of one metric about one decision are averaged by their weights.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from training.report.rows import Reported, Row

OTHERS = "for another tenant than the decision's (report with its tenant, or its token)"


@dataclass(frozen=True, slots=True)
class Rewards:
    """Rewards by decision id, and what became of the outcomes."""

    by_decision: Mapping[str, float]
    metric: str  # the one that was used; "" where there is none
    metrics: Mapping[str, int]  # outcomes of each metric, about decisions of the period
    used: int
    left_out: Mapping[str, int]  # reason -> outcomes


def rewards_of(
    rows: Sequence[Row], outcomes: Sequence[Reported], metric: str, labels: Mapping[str, float]
) -> Rewards:
    """Join outcomes to `rows` by decision, else request, else session, within their tenant.

    `metric` "": the one with the most outcomes that have a reward; `labels`: label -> reward in [0, 1].
    """
    places = _places(rows)
    tenants = {row.decision_id: row.tenant for row in rows}
    left_out: Counter[str] = Counter()
    found: dict[str, list[tuple[tuple[str, ...], float, float]]] = defaultdict(list)
    metrics: Counter[str] = Counter()
    for outcome in outcomes:
        about = places.get(_subject(outcome), ())
        if not about:
            foreign = tenants.get(outcome.decision_id, outcome.tenant) != outcome.tenant
            left_out[OTHERS if foreign else "about no answered decision of the period"] += 1
            continue
        metrics[outcome.metric] += 1
        reward = reward_of(outcome, labels)
        if isinstance(reward, str):
            left_out[reward] += 1
        elif outcome.sample_id:
            left_out["about a sample, not about the answer"] += 1
        elif not (math.isfinite(outcome.weight) and outcome.weight > 0):
            left_out["weight is not above 0"] += 1
        else:
            found[outcome.metric].append((about, reward, outcome.weight))
    chosen = metric or max(found, key=lambda name: (len(found[name]), name), default="")
    for name, others in found.items():
        if name != chosen:
            left_out[f"metric {name!r}"] += len(others)
    used = found.get(chosen, [])
    return Rewards(_averaged(used), chosen, dict(metrics), len(used), dict(left_out))


def reward_of(outcome: Reported, labels: Mapping[str, float]) -> float | str:
    """The reward in [0, 1], or in words why there is none."""
    value = outcome.value
    if outcome.kind == "bool":
        return float(bool(value))
    if outcome.kind == "number" and not isinstance(value, str):
        return min(1.0, max(0.0, float(value))) if math.isfinite(value) else "not a finite number"
    if outcome.kind == "label":
        return labels.get(str(value), f"label {str(value)[:40]!r} has no reward (--label NAME=REWARD)")
    return f"a {outcome.kind} has no reward"


def _places(rows: Iterable[Row]) -> dict[tuple[str, str, str], tuple[str, ...]]:
    """(tenant, kind of id, id) -> the answered decisions that bear it."""
    places: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for row in rows:
        if not row.replied or row.shadow_of:
            continue
        places[row.tenant, "decision", row.decision_id].append(row.decision_id)
        if row.request_id:
            places[row.tenant, "request", row.request_id].append(row.decision_id)
        if row.session_id:
            places[row.tenant, "session", row.session_id].append(row.decision_id)
    return {place: tuple(ids) for place, ids in places.items()}


def _subject(outcome: Reported) -> tuple[str, str, str]:
    if outcome.decision_id:
        return outcome.tenant, "decision", outcome.decision_id
    if outcome.request_id:
        return outcome.tenant, "request", outcome.request_id
    return outcome.tenant, "session", outcome.session_id


def _averaged(used: Iterable[tuple[tuple[str, ...], float, float]]) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    weights: dict[str, float] = defaultdict(float)
    for about, reward, weight in used:
        for decision_id in about:
            sums[decision_id] += weight * reward
            weights[decision_id] += weight
    return {decision_id: sums[decision_id] / weights[decision_id] for decision_id in sums}
