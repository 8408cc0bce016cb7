"""An outlook as a table for people and as JSON: what you would have saved, at what risk, and what more labels bring."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from router.commands.tables import table
from training.outlook.figures import Point
from training.outlook.outlook import Outlook
from training.report.intervals import Interval
from training.report.realised import interval

FEW = 100  # labelled queries; with fewer the figures are rough


def outlook_json(found: Outlook) -> dict[str, Any]:
    """Savings in percent, differences, risks and gains in points, `cost` in $ per 1,000 queries."""
    return {
        "reference": found.reference,
        "cheapest": found.cheapest,
        "labelled": found.labelled,
        "fitted_on": found.fitted_on,
        "configured_price": found.configured,
        "labels_say": "agreement" if found.agreement else "rewards",
        "points": [_point(point) for point in found.points],
        "curve": [{"labelled": step.labelled, **_point(step.point)} for step in found.curve],
    }


def _point(point: Point) -> dict[str, Any]:
    return {
        "price": point.price,
        "queries": point.rows,
        "cost": point.cost * 1e-3,
        "cost_reference": point.cost_reference * 1e-3,
        "saving": interval(point.saving, 100),
        "quality": interval(point.quality),
        "quality_reference": point.quality_reference,
        "quality_difference": interval(point.difference, 100),
        "risk": interval(point.risk, 100),
        "over_random_mix": None if point.over_mix is None else interval(point.over_mix, 100),
        "shares": point.shares,
    }


def outlook_text(found: Outlook) -> str:
    """The table, the curve, and what they mean."""
    points, reference = found.points, found.reference
    cost = points[0].cost_reference * 1e-3
    lines = [
        f"What you would have saved on {points[0].rows} of your queries, each decided by a bundle that never saw it.",
        f"Always {reference}: {points[0].quality_reference:.3f} {_right(found)}, ${cost:.4g} per 1,000 queries.",
        "Brackets hold 95 % of as many other such queries.",
        *_what_labels_say(found),
        "",
        _table(found),
        "",
        f"  RISK: wrong, where {reference} would have been right; points of all queries.",
        f"  OVER MIX: points above sending queries by chance to {found.cheapest} and {reference} at the same cost.",
        "  Choose a row and write its price into router.toml: price = …",
        *_what_the_price_does(found),
    ]
    if found.curve:
        lines += ["", "What more labels bring (where half of what can be saved is saved):", "", _curve(found)]
    if found.labelled < FEW:
        lines.append(f"  {found.labelled} labelled queries only: all of this is rough")
    return "\n".join(lines)


def _right(found: Outlook) -> str:
    return "in agreement" if found.agreement else "right"


def _what_labels_say(found: Outlook) -> list[str]:
    if not found.agreement:
        return []
    return [
        "The labels say whose answers agree with a reference backend, not whose are right: that backend, and votes of",
        "its samples most of all, look better than they are.",
    ]


def _what_the_price_does(found: Outlook) -> list[str]:
    """A warning where cost counts for too little: the bill would rise."""
    if found.configured == 0:
        return ["  WARNING: no price is configured; cost then counts for nothing, and the dearest plans win."]
    here = next(point for point in found.points if point.price == found.configured)
    if here.saving.mean > -0.05:  # as much as always the reference, within what can be known
        return []
    times = 1.0 - here.saving.mean
    paid = f"you would pay {times:.1f} times what always {found.reference} costs"
    return [f"  WARNING: at the configured price {here.price:g} {paid}."]


def _table(found: Outlook) -> str:
    rows = [("  PRICE", "SAVING %", "QUALITY", "DIFFERENCE", "RISK", "OVER MIX", "PLANS")]
    for point in found.points:
        mark = "*" if point.price == found.configured else ""
        rows.append(
            (
                f"  {point.price:g}{mark}",
                _bounds(point.saving, "{:.0f}", 100),
                f"{point.quality.mean:.3f}",
                _bounds(point.difference, "{:+.1f}", 100),
                _bounds(point.risk, "{:.1f}", 100),
                "-" if point.over_mix is None else _bounds(point.over_mix, "{:+.1f}", 100),
                _plans(point.shares),
            )
        )
    marked = "\n  * configured now" if any(point.price == found.configured for point in found.points) else ""
    return table(rows) + marked


def _plans(shares: Mapping[str, float]) -> str:
    """The two most frequent plans; the others as one share."""
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    said = [f"{name} {share:.0%}" for name, share in ordered[:2] if share >= 0.005]
    others = sum(share for _, share in ordered[2:])
    return ", ".join([*said, f"others {others:.0%}"] if others >= 0.005 else said)


def _curve(found: Outlook) -> str:
    rows = [("  LABELLED", "QUALITY", "SAVING %", "OVER MIX AT EQUAL COST")]
    for step in found.curve:
        point = step.point
        gain = "-" if point.over_mix is None else _bounds(point.over_mix, "{:+.1f}", 100)
        rows.append(
            (f"  {step.labelled}", f"{point.quality.mean:.3f}", f"{100 * point.saving.mean:.0f}", gain)
        )
    return table(rows)


def _bounds(found: Interval, form: str, factor: float = 1.0) -> str:
    """`mean [lo, hi]`."""
    scaled = found.scaled(factor)
    return f"{form.format(scaled.mean)} [{form.format(scaled.lo)}, {form.format(scaled.hi)}]"
