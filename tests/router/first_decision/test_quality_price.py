"""A quality target becomes the price that meets it on average, at least cost."""

from __future__ import annotations

import numpy as np
import pytest

from predictors.typical_queries import TypicalQueries
from router.costs.worst_case import Bound
from router.domain.plan import Plan, Stage
from router.domain.speed import Speed
from router.domain.usage import Price
from router.first_decision.forecast import Forecaster
from router.first_decision.quality_price import QualityPrices, quality_prices_of
from router.selectors.first import First
from router.stopping.never import Never
from training.utility_rule import best_plan


def made(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Calibrated expectations of a cheap, a middle and a dear plan, their costs, and rewards drawn from them."""
    draw = np.random.default_rng(n)
    easy = draw.beta(1.2, 1.0, n)
    quality = np.clip(np.stack([easy, 0.3 + 0.6 * easy, 0.6 + 0.35 * easy], axis=1), 0.0, 1.0)
    cost = np.stack([np.full(n, 1e-5), draw.uniform(5e-5, 2e-4, n), draw.uniform(5e-4, 2e-3, n)], axis=1)
    return quality, cost, (draw.random((n, 3)) < quality).astype(float)


def test_the_target_is_met_within_a_point_and_cost_and_quality_rise_with_it() -> None:
    quality, cost, _ = made(6000)
    found = QualityPrices.of(quality, cost)
    test_quality, test_cost, reward = made(30_000)
    rows = np.arange(len(reward))
    realised, paid = [], []
    targets = np.linspace(float(found.quality[-1]) + 0.01, float(found.quality[0]) - 0.005, 12)
    for target in targets:
        plan = best_plan(test_quality, test_cost, found.price_for(float(target)))
        realised.append(reward[rows, plan].mean())
        paid.append(test_cost[rows, plan].mean())
    assert np.abs(np.array(realised) - targets).max() <= 0.01
    assert (np.diff(realised) > 0).all()
    assert (np.diff(paid) > 0).all()


def test_it_costs_less_than_reaching_the_target_for_every_query() -> None:
    quality, cost, _ = made(6000)
    rows = np.arange(len(quality))
    target = 0.75
    each = np.where(quality >= target, cost, np.inf)
    plan = np.where(np.isfinite(each).any(axis=1), each.argmin(axis=1), quality.argmax(axis=1))
    reached = quality[rows, plan].mean()
    ours = best_plan(quality, cost, QualityPrices.of(quality, cost).price_for(float(reached)))
    assert quality[rows, ours].mean() >= reached - 0.005
    assert cost[rows, ours].mean() < 0.99 * cost[rows, plan].mean()


def test_a_target_out_of_reach_makes_cost_no_matter() -> None:
    quality, cost, _ = made(500)
    assert QualityPrices.of(quality, cost).price_for(1.0) == 0.0


def test_with_one_price_for_all_there_is_nothing_to_weigh() -> None:
    found = QualityPrices.of(np.array([[0.4, 0.6]]), np.array([[1.0, 1.0]]))
    assert found.price_for(0.5) == 0.0


def test_typical_queries_are_forecast_at_todays_prices() -> None:
    plans = [Plan(name, (Stage(name, Never(), First()),)) for name in ("small", "large")]
    names = ("p_correct/small", "p_correct/large", "tokens_out/small", "tokens_out/large")
    values = np.array([[0.2, 0.9, 10.0, 10.0], [0.8, 0.9, 10.0, 10.0]])

    class Knows:
        typical = TypicalQueries(names, values, np.array([40.0, 40.0]))

    bounds = {"small": Bound(Price(1.0, 1.0, 1.0), 100, 8), "large": Bound(Price(10.0, 10.0, 10.0), 100, 8)}
    forecaster = Forecaster(bounds, {name: Speed() for name in bounds})
    found = quality_prices_of(Knows(), plans, forecaster)
    assert found is not None
    assert found.quality[0] == pytest.approx(0.9)
    assert found.quality[-1] == pytest.approx(0.5)
    at_once = found.price_for(0.85)  # one query large, one small
    dearer = Forecaster({**bounds, "large": Bound(Price(100.0, 100.0, 100.0), 100, 8)}, forecaster.speeds)
    later = quality_prices_of(Knows(), plans, dearer)
    assert later is not None and later.price_for(0.85) < at_once / 5


def test_predictions_without_typical_queries_know_no_price() -> None:
    assert quality_prices_of(object(), [], Forecaster({}, {})) is None
