"""The table of metrics as Markdown, from the catalogue: what the documentation shows."""

from __future__ import annotations

from router.telemetry.catalogue import CATALOGUE


def reference() -> str:
    """One row per metric, in the catalogue's order."""
    lines = ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
    for name, metric in CATALOGUE.items():
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{name}` | {metric.kind.value} | {labels} | {metric.meaning} |")
    return "\n".join(lines) + "\n"
