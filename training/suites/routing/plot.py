"""The cost-quality plane as a picture: every subject's operating points and their hull, mean over the splits."""

from __future__ import annotations

from pathlib import Path

from training.figures.hull import Hull
from training.suites.routing.figures import RoutingFigures

COLOURS = {
    "apportion": "#d1495b",
    "apportion:after": "#7a3b8f",
    "knn": "#2e86ab",
    "lookup": "#3d9970",
    "zero_router": "#6c757d",
    "oracle": "#c9a227",
}


def plot_frontiers(collected: RoutingFigures, path: Path) -> None:
    """Write a PNG; the axis of costs is logarithmic where the backends differ by more than tenfold."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 5.6), dpi=150)
    alone = []
    for subject, (cost, accuracy) in collected.mean_points().items():
        if subject.startswith("always:"):
            alone.append(cost[0])
            axes.scatter(cost, accuracy, s=34, color="#222222", zorder=4)
            axes.annotate(
                subject.removeprefix("always:"), (cost[0], accuracy[0]), fontsize=7.5, color="#222222",
                xytext=(5, -9), textcoords="offset points",
            )  # fmt: skip
        elif subject in COLOURS:
            hull = Hull.of(cost, accuracy)
            wide = 2.4 if subject.startswith("apportion") else 1.5
            style = "--" if subject in ("zero_router", "oracle") else "-"
            axes.plot(hull.cost, hull.accuracy, style, color=COLOURS[subject], linewidth=wide, label=subject)
            axes.scatter(cost, accuracy, s=5, color=COLOURS[subject], alpha=0.4, linewidths=0)
    if alone and max(alone) > 10 * min(alone):
        axes.set_xscale("log")
    axes.set_xlabel("cost, $ per 1,000 queries")
    axes.set_ylabel("accuracy")
    axes.set_title(f"Routing on {collected.recording.name}", loc="left", fontsize=11)
    axes.grid(visible=True, color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, fontsize=8.5, loc="lower right")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    plt.close(figure)
