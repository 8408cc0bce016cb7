"""`apportion simulate`: what a budget would do with traffic like a recording's, before any of it is spent."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from router.errors import UnknownName
from router.recording import Recording
from training.errors import TrainingError

PARTS = 12  # of the window, in the table


def simulate(
    recording: Annotated[Path, typer.Option(help="Folder of a recording, graded.")],
    scenario: Annotated[
        str, typer.Option(help="What the traffic is like, see `benchmark budget`.")
    ] = "steady",
    dollars: Annotated[
        float | None, typer.Option(help="The budget of the window. Default: as the benchmark sets it.")
    ] = None,
    queries: Annotated[int | None, typer.Option(min=50, help="Queries in the window.")] = None,
    replicas: Annotated[int | None, typer.Option(min=1, max=16, help="Replicas of the service.")] = None,
    seed: Annotated[int, typer.Option(help="Of the traffic, and of the queries that are held out.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """Play a budget in virtual time: the real ledger and prices over recorded answers."""
    from training.suites.budget.scenarios import SCENARIOS

    if scenario not in SCENARIOS:
        raise UnknownName("scenario", scenario, tuple(SCENARIOS))
    if dollars is not None and not 1e-6 <= dollars < 1e9:
        raise TrainingError(f"simulate: a budget is 0.000001 dollars or more and below 10^9, got {dollars:g}")
    setting = SCENARIOS[scenario]
    setting = replace(
        setting,
        queries=queries or setting.queries,
        replicas=setting.replicas if replicas is None else replicas,
    )
    if len(setting.kills) and setting.replicas < 2:
        raise TrainingError(f"simulate: {scenario!r} kills a replica: it needs 2, got {setting.replicas}")
    found = _simulated(Recording.load(recording), setting, scenario, dollars, seed)
    if as_json:
        print(json.dumps(found, allow_nan=False))
    else:
        _print(found)


def _simulated(
    recording: Recording, setting: Any, scenario: str, dollars: float | None, seed: int
) -> dict[str, Any]:
    from training.suites.budget.hindsight import budget_for
    from training.suites.budget.house import Menu
    from training.suites.budget.measure import figures, play, rng_of
    from training.suites.budget.scenarios import traffic_of
    from training.suites.budget.world import world_of

    world = world_of(recording, seed)
    traffic = traffic_of(setting, world, rng_of(scenario, seed))
    limit = budget_for(world, traffic.row, setting.share) if dollars is None else round(dollars * 1e6)
    menu = Menu.of(world, setting.worst)
    ours = play(world, setting, traffic, limit, seed, menu=menu)
    until_empty = play(world, setting, traffic, limit, seed, 0.0, menu)
    at, price = np.array(ours.prices).T
    part = np.minimum((at / setting.window_s * PARTS).astype(int), PARTS - 1)
    return {
        "recording": recording.name,
        "scenario": scenario,
        "replicas": setting.replicas,
        "queries": ours.queries,
        "dollars": limit / 1e6,
        "spent": ours.spent / 1e6,
        "figures": figures(world, setting, traffic, ours, until_empty),
        "prices": [float(price[part == one].mean()) if (part == one).any() else None for one in range(PARTS)],
    }


def _print(found: dict[str, Any]) -> None:
    figures = found["figures"]
    used = f" ({100 * figures['utilisation']:.1f} %)" if "utilisation" in figures else ""  # of no money, none
    print(
        f"{found['recording']}, {found['scenario']}: {found['queries']} queries, {found['replicas']} replicas, "
        f"budget ${found['dollars']:.4f}, spent ${found['spent']:.4f}{used}"
    )
    print(
        f"quality {figures['quality']:.3f}; spending until nothing is left {figures['quality_until_empty']:.3f}; "
        f"refused {100 * figures['refused']:.1f} %; overspend {figures['overspend']:.0f} micro-dollars"
    )
    for name, text in (
        ("regret", "of the quality lost against the best fixed price in hindsight"),
        ("below_knapsack", "against somebody who knows every outcome"),
        ("loss_avoided", "of what spending until nothing is left loses is not lost"),
    ):
        if name in figures:
            print(f"{100 * figures[name]:.1f} % {text}")
    prices = ", ".join("–" if price is None else f"{price:.3g}" for price in found["prices"])
    print(f"price (quality per dollar) over the window: {prices}")
