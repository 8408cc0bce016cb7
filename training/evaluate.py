"""`apportion evaluate`: how decisions turned out, from a decisions file and the recordings' rewards alone.

`replay` decides without seeing a reward; this is the process that may see them.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from router.configuration.file import load
from router.costs.backend_terms import priced_at
from router.recording import Recording
from training.decision_rows import DecisionRows, answered_reward
from training.decisions_file import read_decisions
from training.errors import NotEnoughData, TrainingError
from training.recording_prices import at_prices_of
from training.replay import summary

Z_95 = 1.959963984540054


def evaluate(
    decisions: Annotated[Path, typer.Option(help="Parquet file of `replay` or of a benchmark.")],
    recording: Annotated[
        list[Path], typer.Option("--recording", help="A recording's folder, graded; may be repeated.")
    ],
    html: Annotated[
        Path | None, typer.Option(help="Also write a page: frontier, regret, calibration, risk.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="With --html: an earlier decisions file; the page says what changed.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="router.toml: what backends charge. Default: what the recording says."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say how logged decisions turned out: reward with its 95 % interval, cost, samples and plans of each policy.

    Queries without an answer, or whose answer has no reward, are left out of the reward and counted.
    """
    charged = None if config is None else priced_at(load(config), time.time())
    loaded = map(Recording.load, recording)
    recordings = {found.name: found if charged is None else at_prices_of(charged, found) for found in loaded}
    if html is not None:
        write_page(html, decisions, against, recordings)
    blocks = [
        {"subject": rows.key.subject, "operating_point": rows.key.operating_point}
        | {"recording": rows.key.recording, "seed": rows.key.seed, "fold": rows.key.fold}
        | outcome(rows, recordings[rows.key.recording])
        for rows in read_decisions(decisions, recordings)
    ]
    if not blocks:
        raise NotEnoughData(f"{decisions}: no decisions")
    if as_json:
        print(json.dumps({"decisions": blocks}))
        return
    for block in blocks:
        reward = block["reward"]
        said = "no reward" if reward is None else f"{reward:.3f} ± {block['half_width']:.3f}"
        left_out = f", {block['unlabelled']} without a reward" if block["unlabelled"] else ""
        print(
            f"{block['recording']} {block['subject']} {block['operating_point']}: reward {said}, "
            f"${block['cost']:.4f} per 1,000 queries, {block['samples']:.2f} samples per query"
            f" ({block['queries']} queries{left_out})"
        )


def write_page(
    path: Path, decisions: Path, against: Path | None, recordings: Mapping[str, Recording]
) -> None:
    """The page of one recording's decisions. Raises `TrainingError`, `NotEnoughData`."""
    from training.evaluation.facts import facts
    from training.evaluation.page import page

    found = list(read_decisions(decisions, recordings))
    names = sorted({rows.key.recording for rows in found})
    if len(names) != 1:
        raise TrainingError(
            f"--html: a page is about one recording, {decisions} has {', '.join(names) or 'none'}"
        )
    blocks = [facts(rows, recordings[names[0]]) for rows in found]
    if not recordings[names[0]].columns.cost.any():
        told = "its backends are free, and so is each of them alone on the page: say --config router.toml"
        print(f"{names[0]}: {told}", file=sys.stderr)
    earlier = [] if against is None else list(read_decisions(against, recordings))
    before = [
        facts(rows, recordings[rows.key.recording]) for rows in earlier if rows.key.recording == names[0]
    ]
    path.write_text(page(names[0], blocks, before), encoding="utf-8")


def outcome(rows: DecisionRows, recording: Recording) -> dict[str, Any]:
    """The summary, and the answers' mean reward with the half width of its normal 95 % interval (None: no labels)."""
    reward = answered_reward(rows, recording)
    labelled = reward[~np.isnan(reward)]
    spread = float(labelled.std(ddof=1)) if len(labelled) > 1 else 0.0
    return summary(rows) | {
        "reward": float(labelled.mean()) if len(labelled) else None,
        "half_width": Z_95 * spread / math.sqrt(len(labelled)) if len(labelled) else None,
        "unlabelled": int(len(reward) - len(labelled)),
    }
