"""The cost-quality plane as a picture: every subject's hull, mean over the splits."""

from __future__ import annotations

from pathlib import Path

from training.suites.allocation.figures import ALONE, AllocationFigures

COLOURS = {
    "apportion": "#d1495b",
    "hop": "#7a3b8f",
    "table": "#8a6d3b",
    "match_probability": "#2e86ab",
    "route_only": "#3d9970",
    "sample_only": "#e08e45",
    "cascade_only": "#4a5899",
    "best_fixed_plan": "#6c757d",
    "oracle": "#c9a227",
}


def plot_allocation(collected: AllocationFigures, path: Path) -> None:
    """Write a PNG; the axis of costs is logarithmic where the backends differ by more than tenfold."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 5.6), dpi=150)
    alone = []
    for subject, (cost, accuracy) in collected.mean_points().items():
        if subject.startswith(ALONE):
            alone.append(cost[0])
            axes.scatter(cost[:1], accuracy[:1], s=34, color="#222222", zorder=4)
            axes.annotate(
                subject.removeprefix(ALONE), (cost[0], accuracy[0]), fontsize=7.5, xytext=(5, -9),
                textcoords="offset points",
            )  # fmt: skip
        elif subject in COLOURS:
            wide = 2.4 if subject == "apportion" else 1.4
            style = "--" if subject in ("best_fixed_plan", "oracle") else "-"
            axes.plot(cost, accuracy, style, color=COLOURS[subject], linewidth=wide, label=subject)
    if alone and max(alone) > 10 * min(alone):
        axes.set_xscale("log")
    axes.set_xlabel("cost, $ per 1,000 queries")
    axes.set_ylabel("accuracy")
    axes.set_title(f"Allocation on {collected.recording.name}", loc="left", fontsize=11)
    axes.grid(visible=True, color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, fontsize=8.5, loc="lower right")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    plt.close(figure)
