"""A report as a picture: saving and quality difference with their intervals, and the plans that `apply` would draw."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.errors import TrainingError

COLOUR, GREY = "#d1495b", "#6c757d"


def plot(found: Mapping[str, Any], path: Path) -> None:
    """Write a PNG. Raises `TrainingError` where there is nothing to show."""
    seen = found["observe"]
    shown = {
        name: seen[key]
        for key, name in (("saving", "saving, %"), ("quality_difference", "quality difference, points"))
        if "mean" in seen.get(key, {})
    }
    if not shown:
        why = seen.get("skipped", "neither saving nor quality is known")
        raise TrainingError(f"{path}: there is nothing to plot: {why}")
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2), dpi=150)
    for row, interval in enumerate(shown.values()):
        if interval["lo"] is not None and interval["hi"] is not None:
            left.plot([interval["lo"], interval["hi"]], [row, row], color=COLOUR, linewidth=3, alpha=0.5)
        left.plot([interval["mean"]], [row], "o", color=COLOUR)
        left.annotate(
            f"{interval['mean']:+.1f}", (interval["mean"], row), xytext=(0, 8), textcoords="offset points"
        )
    left.margins(x=0.15)
    left.axvline(0, color=GREY, linewidth=0.8)
    left.set_yticks(range(len(shown)), list(shown))
    left.set_ylim(-0.6, len(shown) - 0.4)
    left.set_title(f"apply against {seen['reference']}, next {seen['queries']} queries, 95 %", fontsize=9)
    names = sorted(seen["shares"], key=lambda name: float(seen["shares"][name]))
    right.barh(names, [100 * seen["shares"][name] for name in names], color=GREY)
    right.set_xlabel("% of queries under apply")
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
