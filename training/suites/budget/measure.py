"""A scenario's figures: overspend, utilisation, regret, and what is saved against spending until nothing is left.

`overspend` micro-dollars; `utilisation` spent over the limit; `regret` the fraction of quality lost against the best
fixed price in hindsight (below 0: a price that follows the money can beat every fixed one); `below_knapsack` the same
against somebody who knows every outcome; `loss_avoided` of the quality that is lost by always taking the best plan
until the money has run out, against unlimited money, the part that is not lost; `refused` share of the queries;
`price_swing` standard deviation over mean of the price in the middle half of the window. What would be divided by
nothing (no money, no quality to be had) is left out.
"""

from __future__ import annotations

import numpy as np

from training.suites.budget.hindsight import best_fixed, budget_for, knapsack
from training.suites.budget.house import Menu
from training.suites.budget.scenarios import SCENARIOS, Scenario, Traffic, traffic_of
from training.suites.budget.simulate import Result, Simulation
from training.suites.budget.world import World


def play(
    world: World,
    scenario: Scenario,
    traffic: Traffic,
    limit: int,
    seed: int,
    fixed: float | None = None,
    menu: Menu | None = None,
) -> Result:
    """One window; `fixed`: at this price all the time."""
    menu = Menu.of(world, scenario.worst) if menu is None else menu
    return Simulation(world, menu, scenario, traffic, limit, np.random.default_rng([seed, 1]), fixed).run()


def measure(world: World, name: str, seed: int, scale: float = 1.0) -> dict[str, float]:
    """All figures of one scenario and seed."""
    scenario = SCENARIOS[name]
    traffic = traffic_of(scenario, world, rng_of(name, seed), scale)
    limit = budget_for(world, traffic.row, scenario.share)
    menu = Menu.of(world, scenario.worst)
    ours = play(world, scenario, traffic, limit, seed, menu=menu)
    until_empty = play(world, scenario, traffic, limit, seed, 0.0, menu)
    return figures(world, scenario, traffic, ours, until_empty)


def rng_of(name: str, seed: int) -> np.random.Generator:
    """What the queries of a scenario are drawn with."""
    return np.random.default_rng([seed, 0, *(SCENARIOS[name].as_in or name).encode()])


def figures(
    world: World, scenario: Scenario, traffic: Traffic, ours: Result, until_empty: Result
) -> dict[str, float]:
    """Of one window, played at the price that follows the money and at none."""
    every = np.arange(len(world))
    best = float(world.reward[every, world.at_price(0.0)][traffic.row].sum())
    found = {"overspend": float(ours.overspend)}
    if ours.limit:
        found["utilisation"] = ours.spent / ours.limit
    found |= {
        "refused": ours.refused / ours.queries,
        "quality": ours.quality / ours.queries,
        "quality_until_empty": until_empty.quality / until_empty.queries,
        "price_swing": _swing(ours, scenario.window_s),
    }
    if scenario.lowered is None:
        for name, had in (
            ("regret", best_fixed(world, traffic.row, ours.limit)[1]),
            ("below_knapsack", knapsack(world, traffic.row, ours.limit)),
        ):
            if had > 0:
                found[name] = 1 - ours.quality / had
    if best > until_empty.quality:
        found["loss_avoided"] = 1 - (best - ours.quality) / (best - until_empty.quality)
    return found


def _swing(result: Result, length: float) -> float:
    prices = np.array([price for at, price in result.prices if 0.25 * length <= at < 0.75 * length])
    return float(prices.std() / prices.mean()) if len(prices) and prices.mean() > 0 else 0.0
