"""A report as text: what was seen, what `apply` would have saved, at what risk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from router.commands.tables import distribution, moment, table
from training.report.prediction import ENOUGH_RUNS

FEW = 30  # queries; intervals from fewer are rough


def readable(found: Mapping[str, Any]) -> str:
    """The report for people; `found` is what `facts.report` gave."""
    parts = [_head(found), _traffic(found), _observe(found["observe"], found), _shadow(found["shadow"])]
    parts += [_apply(found["apply"]), _calibration(found["calibration"]), _outcomes(found["outcomes"])]
    return "\n\n".join(part for part in parts if part)


def _head(found: Mapping[str, Any]) -> str:
    rows, spent = found["rows"], found["dollars"]
    period = ""
    if rows["first"] is not None:
        period = f" from {moment(rows['first'])} to {moment(rows['last'])} UTC"
    lines = [f"{rows['read']} rows{period}: {rows['used']} used, {rows['shadow_runs']} of shadow runs"]
    lines += [f"  left out: {count} {reason}" for reason, count in rows["left_out"].items()]
    if rows["spooled"]:
        lines.append(
            "  a spool lies beside the store: rows in it are not counted until the server takes them back"
        )
    by_mode = ", ".join(f"{name} {_money(value)}" for name, value in spent.items() if name != "total")
    return "\n".join([*lines, f"spend: {_money(spent['total'])} ({by_mode})"])


def _traffic(found: Mapping[str, Any]) -> str:
    rows = [("MODE", "PLAN", "DECISIONS", "REPLIED", "SPENT", "$ PER 1,000", "MEDIAN LATENCY")]
    rows += [
        (
            entry["mode"],
            entry["plan"],
            str(entry["decisions"]),
            str(entry["replied"]),
            _money(entry["dollars"]),
            f"{entry['cost']:.4g}",
            f"{entry['latency_s']:.3g} s",
        )
        for entry in found["traffic"]
    ]
    return table(rows) if len(rows) > 1 else ""


def _observe(seen: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    if "skipped" in seen:
        return f"what apply would have saved: {seen['skipped']}"
    bundle = f"bundle {seen['bundle']}" if seen["bundle"] else "untrained"
    lines = [
        f"what apply would do with the next {seen['queries']} such queries ({bundle}; 95 % of such periods are within)",
        f"  plans: {distribution(seen['shares'])} (served: {seen['reference']})",
    ]
    if "cost_apply" in seen:
        apply = _interval(seen["cost_apply"], "{:.4g}")
        lines.append(f"  $ per 1,000 queries: {apply}; {seen['reference']} cost {seen['cost_reference']:.4g}")
        lines.append(f"  saving: {_interval(seen['saving'], '{:.1f}', ' %')}")
        never = [
            name for name, share in seen["shares"].items() if share and name not in seen["real_over_forecast"]
        ]
        ratios = ", ".join(
            f"{name} {entry['ratio']:.2f}" for name, entry in seen["real_over_forecast"].items()
        )
        lines.append(f"  real cost over forecast: {ratios}" + _never(never))
    else:
        lines.append(f"  saving: {seen['saving']['skipped']}")
    lines += _quality(seen, found)
    if seen["sessions"] < FEW:
        lines.append(f"  from {seen['sessions']} queries or sessions only: the intervals are rough")
    if seen["bundle"] and seen["labelled"] is None:
        lines.append(
            "  the error of the bundle's own fit is not in the intervals: --config or --labelled adds it"
        )
    return "\n".join(lines)


def _never(plans: list[str]) -> str:
    if not plans:
        return ""
    names = ", ".join(plans)
    return (
        f"; run fewer than {ENOUGH_RUNS} times: {names} (forecasts taken as they are; shadow runs would tell)"
    )


def _quality(seen: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    difference = seen["quality_difference"]
    if "skipped" in difference:
        return [f"  quality: {difference['skipped']}"]
    lines = [
        f"  quality: {_interval(seen['quality_apply'], '{:.3f}')}; {seen['reference']} {seen['quality_reference']:.3f}",
        f"  quality difference: {_interval(difference, '{:+.1f}', ' points')}",
    ]
    if seen["quality_unknown"]:
        lines.append(f"  of {seen['quality_unknown']} queries the quality of some plan is not known")
    if "reference_reward" in seen:
        lines.append(
            f"  check: {seen['reference']} was expected to get {seen['reference_expected_there']:.3f}"
            f" and got {_interval(seen['reference_reward'], '{:.3f}')} where outcomes are known"
        )
    shadow = found["shadow"]
    if "quality_cannot_differ_by_more_than" in shadow:
        most = shadow["quality_cannot_differ_by_more_than"]
        lines.append(f"  check: by shadow runs the expected qualities differ by at most {most:.1f} points")
    return lines


def _shadow(shadow: Mapping[str, Any]) -> str:
    if "skipped" in shadow:
        return ""
    lines = [f"shadow runs: {shadow['runs']}, {shadow['answered']} answered"]
    lines += [f"  {count} {reason}" for reason, count in shadow["failed"].items()]
    lines += [
        f"  {name}: {entry['runs']} runs, {entry['cost']:.4g} $ per 1,000"
        for name, entry in shadow["plans"].items()
    ]
    if "agree" in shadow:
        share = _interval(shadow["agree"], "{:.3f}")
        lines.append(
            f"  answers like the one that was served: {share} of {shadow['compared']} that can be compared"
        )
    return "\n".join(lines)


def _apply(apply: Mapping[str, Any]) -> str:
    if "skipped" in apply:
        return ""
    rows = [("APPLIED", "QUERIES", "$ PER 1,000", "REWARDED", "MEAN REWARD")]
    for name, entry in [*apply["plans"].items(), ("all", apply["all"])]:
        reward = entry["reward"]
        told = reward["skipped"] if "skipped" in reward else _interval(reward, "{:.3f}")
        rows.append((name, str(entry["queries"]), f"{entry['cost']:.4g}", str(entry["rewarded"]), told))
    note = "(plans get different queries: their rewards do not say which plan is better)"
    return f"{table(rows)}\n{note}"


def _calibration(found: Mapping[str, Any]) -> str:
    lines = []
    for name, entry in found.items():
        if "skipped" not in entry:
            lines.append(
                f"{name.replace('_', ' ')}: mean {entry['mean']:.3f}, reward {entry['reward']:.3f}"
                f" in {entry['rows']} rows;"
                f" calibration error {entry['ece']:.3f}, Brier skill {entry['brier_skill']:.3f}"
            )
    return "\n".join(lines)


def _outcomes(outcomes: Mapping[str, Any]) -> str:
    if not outcomes["metrics"] and not outcomes["left_out"]:
        return "outcomes: none reported"
    metric, about = outcomes["metric"] or "(none)", outcomes["decisions"]
    lines = [f"outcomes: {outcomes['used']} of metric {metric} about {about} decisions"]
    lines += [f"  left out: {count} {reason}" for reason, count in outcomes["left_out"].items()]
    return "\n".join(lines)


def _money(dollars: float) -> str:
    """Four digits that count, never as a power of ten.

    >>> _money(0.000026), _money(12.34567), _money(0.0)
    ('$0.000026', '$12.35', '$0')
    """
    text = np.format_float_positional(dollars, precision=4, unique=False, fractional=False, trim="-")
    return f"${text}"


def _interval(found: Mapping[str, float | None], form: str, unit: str = "") -> str:
    """`mean unit (lo to hi)`."""
    lo, hi = (form.format(found[key]) if found[key] is not None else "?" for key in ("lo", "hi"))
    return f"{form.format(found['mean'])}{unit} ({lo} to {hi})"
