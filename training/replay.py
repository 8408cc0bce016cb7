"""`training replay`: what the service would have decided on recorded queries, at one price or several."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import typer

from router.config import Config
from router.configuration.file import load
from router.costs.backend_terms import priced_at
from router.recording import Recording
from training.decision_rows import DecisionRows, RowKey
from training.decisions_file import DecisionsFile
from training.fit.command import read_ids
from training.menu import cheapest_first, menu_of
from training.progress import shown_progress
from training.replay_run import as_rows
from training.replay_run import replay as replay_queries

SUBJECT = "apportion"


def replay(
    recording: Annotated[Path, typer.Option(help="Folder of a recording; rewards and gold are not read.")],
    bundle: Annotated[
        Path | None, typer.Option(help="Folder of what was learned; default: the configuration's.")
    ] = None,
    queries: Annotated[Path | None, typer.Option(help="Query ids, one a line; default: all.")] = None,
    decisions: Annotated[Path | None, typer.Option(help="Write every decision to this Parquet file.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="router.toml; default: a menu made from the recording.")
    ] = None,
    price: Annotated[
        list[float] | None,
        typer.Option(help="Quality per dollar; repeat for several. Default: the configuration's."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the draws; default: the configuration's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as one JSON object.")] = False,
) -> None:
    """Run the live allocator over recorded answers: deterministic, and blind to how they turn out.

    The samples, plans and costs are those that a server with the same bundle, configuration and seed serves now to a
    client that sends each query with its id as request id. Budgets and bundles that were promoted play no part.
    Queries on whose recorded backends no plan can run are left out and counted.
    """
    recorded = Recording.load(recording)
    settings = _settings(recorded, recording, config, bundle, seed)
    ids = [query.query_id for query in recorded.queries] if queries is None else read_ids(queries)
    cheapest = cheapest_first(recorded)[0]
    said: dict[str, Any] = {}
    prices = tuple(price or (settings.price,))
    base = config.parent if config else Path()
    with shown_progress() as progress:
        blocks = []
        for number, at in enumerate(prices):
            priced = msgspec.structs.replace(settings, price=at)
            point = f"price={at:g}"
            key = RowKey("replay", recorded.name, SUBJECT, settings.seed, 0, point)
            found = replay_queries(
                priced,
                recorded,
                ids,
                base=base,
                progress=lambda share, number=number, point=point: progress(
                    point, (number + share) / len(prices)
                ),  # type: ignore[misc]
            )
            blocks.append(as_rows(found, recorded, priced, key, cheapest))
            said[point] = summary(blocks[-1]) | {"left_out": len(ids) - len(found)}
    if decisions is not None:
        with DecisionsFile(decisions) as file:
            for rows in blocks:
                file.write(rows, recorded)
    if as_json:
        print(json.dumps({recorded.name: said}))
        return
    for point, about in said.items():
        plans = ", ".join(f"{name} {100 * share:.0f} %" for name, share in about["plans"].items())
        cost, samples = about["cost"], about["samples"]
        left = f"; {about['left_out']} queries left out: no plan can run on them" if about["left_out"] else ""
        print(f"{point}: ${cost:.4f} per 1,000 queries, {samples:.2f} samples per query; {plans}{left}")


def summary(rows: DecisionRows) -> dict[str, Any]:
    """What was done: cost ($ per 1,000 queries), samples per query, share of every plan. Nothing about rewards."""
    share = np.bincount(rows.plan, minlength=len(rows.plans)) / max(1, len(rows))
    order = np.argsort(-share, kind="stable")
    return {
        "queries": len(rows),
        "cost": 1000 * float(rows.cost.mean()) if len(rows) else 0.0,
        "samples": len(rows.sample_row) / max(1, len(rows)),
        "plans": {rows.plans[place]: float(share[place]) for place in order},
    }


def _settings(
    recorded: Recording, folder: Path, config: Path | None, bundle: Path | None, seed: int | None
) -> Config:
    settings = menu_of(recorded, folder.resolve()) if config is None else priced_at(load(config), time.time())
    if bundle is not None:
        settings = msgspec.structs.replace(settings, bundle=str(bundle.resolve()))
    return settings if seed is None else msgspec.structs.replace(settings, seed=seed)
