"""Frontier and reliability as SVG text, to stand inside a page."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from training.evaluation.facts import Facts, Reliability

COLOUR, GREY, DARK = "#d1495b", "#8d99ae", "#2b2d42"


def frontier(found: Sequence[Facts]) -> str:
    """Cost and reward of every operating point, beside the backends alone and the oracle."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.8), layout="constrained")
    axes = figure.subplots()
    first = found[0]
    for each in first.alone:
        axes.plot([each.cost], [each.reward], "s", color=GREY)
        _name(axes, each.name, each.cost, each.reward)
    axes.plot([first.oracle.cost], [first.oracle.reward], "*", color=DARK, markersize=11)
    _name(axes, "oracle", first.oracle.cost, first.oracle.reward)
    ordered = sorted(found, key=lambda one: one.cost)
    costs, rewards = [one.cost for one in ordered], [one.reward.mean for one in ordered]
    below = [one.reward.mean - one.reward.lo for one in ordered]
    above = [one.reward.hi - one.reward.mean for one in ordered]
    axes.errorbar(costs, rewards, [below, above], fmt="o-", color=COLOUR, capsize=3, linewidth=1.2)
    subjects = {one.name.partition(" ")[0] for one in found}
    for one in ordered:
        point = one.name.partition(" ")[2]
        _name(axes, point if point and len(subjects) == 1 else one.name, one.cost, one.reward.hi)
    axes.set_xlabel("$ per 1,000 queries")
    axes.set_ylabel("mean reward, 95 %")
    axes.grid(alpha=0.25)
    return _svg(figure)


def reliability(found: Reliability) -> str:
    """Predicted against observed, the diagonal is right."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1)
    axes.plot(found.predicted, found.observed, "o-", color=COLOUR)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("predicted")
    axes.set_ylabel("came true")
    axes.grid(alpha=0.25)
    return _svg(figure)


def _name(axes: Any, text: str, x: float, y: float) -> None:
    axes.annotate(text, (x, y), xytext=(5, 5), textcoords="offset points", fontsize=8)


def _svg(figure: Any) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    found = text.getvalue()
    return found[found.index("<svg") :]
