"""The report's rows by tenant, plan or bundle: how many, what they cost, how they turned out."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from router.domain.usage import told_dollars
from training.report.rewards import rewards_of
from training.report.rows import Log, Row

By = Literal["tenant", "plan", "bundle"]
HEADINGS = ("DECISIONS", "ANSWERED", "$ / 1,000", "$ IN ALL", "REWARD", "LABELLED", "P95 LATENCY")
Z_95 = 1.959963984540054


def groups(log: Log, by: By, metric: str, labels: Mapping[str, float]) -> list[dict[str, Any]]:
    """One entry per name, the dearest first; shadow runs are left out. `reward` is None without labels."""
    rows = [row for row in log.rows if not row.shadow_of]
    rewards = rewards_of(rows, log.outcomes, metric, labels).by_decision
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[str(getattr(row, by))].append(row)
    entries = [{by: name, **_group(part, rewards)} for name, part in found.items()]
    return sorted(entries, key=lambda entry: (-float(entry["dollars"]), str(entry[by])))


def _group(rows: Sequence[Row], rewards: Mapping[str, float]) -> dict[str, Any]:
    micros = math.fsum(row.cost for row in rows)
    known = np.array([rewards[row.decision_id] for row in rows if row.decision_id in rewards])
    spread = float(known.std(ddof=1)) if len(known) > 1 else 0.0
    latency = [row.latency_s for row in rows if row.replied]
    return {
        "decisions": len(rows),
        "answered": sum(row.replied for row in rows),
        "cost": told_dollars(1000 * micros / len(rows)),
        "dollars": told_dollars(micros),
        "reward": float(known.mean()) if len(known) else None,
        "half_width": Z_95 * spread / math.sqrt(len(known)) if len(known) > 1 else None,
        "labelled": len(known),
        "p95_latency_s": float(np.quantile(latency, 0.95)) if latency else None,
    }


def in_words(entries: Sequence[Mapping[str, Any]], by: By) -> str:
    """A table."""
    lines = [(by.upper(), *HEADINGS)]
    for one in entries:
        half = "" if one["half_width"] is None else f" ± {one['half_width']:.3f}"
        reward = "-" if one["reward"] is None else f"{one['reward']:.3f}{half}"
        late = "-" if one["p95_latency_s"] is None else f"{one['p95_latency_s']:.3f} s"
        counts = str(one["decisions"]), str(one["answered"])
        lines.append(
            (one[by] or "(none)", *counts, f"{one['cost']:.4f}", f"{one['dollars']:.4f}", reward,
             str(one["labelled"]), late)
        )  # fmt: skip
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
