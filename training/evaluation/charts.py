"""Frontier and reliability as SVG text, to stand inside a page."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from training.evaluation.facts import Facts, Reliability

COLOUR, GREY, DARK = "#d1495b", "#8d99ae", "#2b2d42"
MOST_BARS = 15  # points of one line; of more the intervals would hide each other, and are in the table
POINT = 3.0  # pixels around a point that no name may cover
BESIDE = ((-4, 4), (4, -4), (4, 4), (-4, -4))  # points of type, across and up; lines rise to the right


def frontier(found: Sequence[Facts]) -> str:
    """Cost and reward of every operating point, a line per subject, beside the backends alone and the oracle.

    A point is named where there is room for its name; the page's tables name all.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.8), layout="constrained")
    axes = figure.subplots()
    first = found[0]
    names = [(each.name, each.cost, each.reward) for each in first.alone]
    for _, cost, reward in names:
        axes.plot([cost], [reward], "s", color=GREY)
    axes.plot([first.oracle.cost], [first.oracle.reward], "*", color=DARK, markersize=11)
    names.append(("oracle", first.oracle.cost, first.oracle.reward))
    intervals = True
    subjects = dict.fromkeys(one.name.partition(" ")[0] for one in found)
    for place, subject in enumerate(subjects):
        mine = [one for one in found if one.name.partition(" ")[0] == subject]
        ordered = sorted(mine, key=lambda one: one.cost)
        costs, rewards = [one.cost for one in ordered], [one.reward.mean for one in ordered]
        below = [one.reward.mean - one.reward.lo for one in ordered]
        above = [one.reward.hi - one.reward.mean for one in ordered]
        colour = COLOUR if len(subjects) == 1 else colormaps["tab20"](place % 20)
        dense = len(ordered) > MOST_BARS
        intervals = intervals and not dense
        axes.errorbar(
            costs,
            rewards,
            None if dense else [below, above],
            fmt="o" if dense else "o-",
            color=colour,
            capsize=3,
            linewidth=1.2,
            markersize=2.5 if dense else 6,
            label=subject,
        )
        for one in ordered:
            point = one.name.partition(" ")[2]
            if len(subjects) == 1:
                names.append((point or one.name, one.cost, one.reward.mean))
            else:  # a dense one's colour tells it
                names.append(("" if dense else one.name, one.cost, one.reward.mean))
    axes.set_xlabel("$ per 1,000 queries")
    axes.set_ylabel("mean reward, 95 %" if intervals else "mean reward")
    axes.margins(x=0.1)  # room for names
    axes.grid(alpha=0.25)
    if len(subjects) > 1:
        figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    name_points(figure, axes, names)
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


def name_points(figure: Any, axes: Any, names: Sequence[tuple[str, float, float]]) -> list[Any]:
    """Write names beside points (name, x, y) where they cover no point, no other name and not the frame; the texts.

    Each name once; "": the point has none.
    """
    from matplotlib.transforms import Bbox

    figure.draw_without_rendering()  # where things are is known after that
    frame = axes.get_window_extent()
    centres = axes.transData.transform([(x, y) for _, x, y in names])
    taken = [Bbox.from_extents(x - POINT, y - POINT, x + POINT, y + POINT) for x, y in centres]
    written: dict[str, Any] = {}
    for text, x, y in names:
        if not text or text in written:
            continue
        for across, up in BESIDE:
            sides = {"ha": "left" if across > 0 else "right", "va": "bottom" if up > 0 else "top"}
            label = axes.annotate(
                text, (x, y), xytext=(across, up), textcoords="offset points", fontsize=8, **sides
            )
            label.set_in_layout(False)
            box = label.get_window_extent()
            inside = frame.containsx(box.x0) and frame.containsx(box.x1)
            inside = inside and frame.containsy(box.y0) and frame.containsy(box.y1)
            if inside and not box.count_overlaps(taken):
                taken.append(box)
                written[text] = label
                break
            label.remove()
    return list(written.values())


def _svg(figure: Any) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    found = text.getvalue()
    return found[found.index("<svg") :]
