"""The demo's picture: quality against cost, Apportion at three prices among everything that is simpler."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from training.demonstration.score import Result
from training.demonstration.table import MeanSd

INK, FAINT, OURS = "#22313f", "#e9ecef", "#c8102e"
LINES = {  # colour, dashes, width
    "random mix": ("#9aa5b1", (0, (1, 1.6)), 1.8),
    "lookup by kind": ("#2a9d8f", "solid", 1.8),
    "kNN": ("#3a6ea5", "solid", 1.8),
    "oracle": ("#d4a017", (0, (5, 2)), 1.8),
}


def draw(results: Sequence[Result], weights: Sequence[str], path: Path) -> None:
    """Write a PNG; curves are means over the splits, bars are one standard deviation."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    with plt.rc_context(
        {"font.size": 10.5, "font.family": "DejaVu Sans", "axes.edgecolor": INK, "text.color": INK}
    ):
        figure, axes = plt.subplots(figsize=(9.2, 5.8), dpi=160)
        for name, (colour, dashes, width) in LINES.items():
            if name in results[0].curves:
                cost, quality = mean_curve([result.curves[name] for result in results])
                axes.plot(
                    cost, quality, color=colour, linestyle=dashes, linewidth=width, label=name, zorder=2
                )
        for name, short in (("always small", "always\nsmall"), ("always large", "always large")):
            x, y = _at(results, name)
            axes.scatter(x.mean, y.mean, s=46, color=INK, zorder=4)
            axes.annotate(short, (x.mean, y.mean), xytext=(8, -14), textcoords="offset points", fontsize=9.5)
        x, y = _at(results, "best fixed plan")
        axes.scatter(
            x.mean,
            y.mean,
            s=52,
            marker="D",
            facecolor="white",
            edgecolor=INK,
            zorder=4,
            label="best fixed plan",
        )
        ours = [_at(results, f"Apportion {at}") for at in weights]
        order = np.argsort([x.mean for x, _ in ours])
        xs, ys = [ours[place][0].mean for place in order], [ours[place][1].mean for place in order]
        axes.plot(xs, ys, color=OURS, linewidth=2.2, alpha=0.55, zorder=5)
        for at, (x, y) in zip(weights, ours, strict=True):
            axes.errorbar(
                x.mean, y.mean, xerr=x.sd, yerr=y.sd, fmt="o", color=OURS, markersize=9, elinewidth=1, capsize=3,
                zorder=6, markeredgecolor="white", label="Apportion" if at == weights[0] else None,
            )  # fmt: skip
            axes.annotate(
                f"price {at}", (x.mean, y.mean), xytext=(-6, 11), textcoords="offset points", fontsize=9.5,
                color=OURS, weight="bold", ha="right", zorder=7,
            )  # fmt: skip
        axes.set_xlabel("cost, $ per 1,000 queries")
        axes.set_ylabel("quality on held-out queries")
        axes.set_title("Spend compute where it pays", loc="left", weight="bold", fontsize=13, pad=26)
        axes.text(
            0, 1.03, f"mean over {len(results)} splits by text; bars: one standard deviation over the splits",
            transform=axes.transAxes, fontsize=9.5, color="#6c757d",
        )  # fmt: skip
        axes.grid(color=FAINT, linewidth=0.9)
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.set_xlim(left=0)
        axes.legend(frameon=False, loc="lower right", fontsize=9.5)
        figure.tight_layout()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
        plt.close(figure)


def mean_curve(curves: Sequence[Sequence[tuple[float, float]]]) -> tuple[list[float], list[float]]:
    """The mean of piecewise linear curves over the costs that all of them reach."""
    low = max(curve[0][0] for curve in curves)
    high = max(min(curve[-1][0] for curve in curves), low)
    grid = np.linspace(low, high, 80)
    values = [np.interp(grid, [x for x, _ in curve], [y for _, y in curve]) for curve in curves]
    return grid.tolist(), np.mean(values, axis=0).tolist()


def _at(results: Sequence[Result], subject: str) -> tuple[MeanSd, MeanSd]:
    rows = [result.rows[subject] for result in results]
    return MeanSd.of([row.cost for row in rows]), MeanSd.of([row.quality for row in rows])
