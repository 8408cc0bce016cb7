"""Forecasts follow from signals and today's prices."""

from __future__ import annotations

import itertools

import pytest

from predictors.observation import Message, Part, Query
from router.costs.worst_case import Bound, worst_cost
from router.domain.plan import Plan, Stage
from router.domain.speed import Speed
from router.domain.usage import Price
from router.first_decision.forecast import Forecaster
from router.selectors.first import First
from router.stopping.agreement import Agreement
from router.stopping.converged import Converged
from router.stopping.never import Never
from router.stopping.self_eval import SelfEval

QUERY = Query("r", (Message("user", (Part(text="x" * 384),)),))  # 96 tokens and 4 for its template
SINGLE = Plan("small", (Stage("small", Never(), First()),))
CASCADE = Plan("cascade", (Stage("small", Never(), First()), Stage("large", Never(), First())))
VOTE = Plan("vote", (Stage("small", Agreement(2), First(), max_samples=8, width=4),))


def forecaster(price_out: float = 10.0) -> Forecaster:
    bounds = {name: Bound(Price(1.0, 1.0, price_out), 100, 8) for name in ("small", "large")}
    return Forecaster(bounds, {name: Speed(0.2, 50.0) for name in bounds})


def test_a_single_sample_follows_from_its_backends_heads():
    forecast = forecaster().forecast(QUERY, SINGLE, {"p_correct/small": 0.7, "tokens_out/small": 20.0})
    assert forecast.quality == 0.7
    assert forecast.cost == pytest.approx(100 + 20 * 10)
    assert forecast.latency_s == pytest.approx(0.2 + 20 / 50)


def test_a_plan_with_stages_is_not_known_without_its_own_head():
    known = {"p_correct/small": 0.7, "p_correct/large": 0.9}
    assert forecaster().forecast(QUERY, CASCADE, known).quality is None
    assert forecaster().forecast(QUERY, VOTE, known).quality is None


def test_a_plans_own_heads_give_its_quality_and_its_samples():
    signals = {
        "plan_quality/cascade": 0.88,
        "plan_samples/cascade/0": 1.0,
        "plan_samples/cascade/1": 0.25,
        "tokens_out/small": 10.0,
        "tokens_out/large": 40.0,
    }
    forecast = forecaster().forecast(QUERY, CASCADE, signals)
    assert forecast.quality == 0.88
    assert forecast.cost == pytest.approx((100 + 100) + 0.25 * (100 + 400))


def test_another_price_is_another_cost_of_the_same_tokens():
    signals = {"tokens_out/small": 20.0}
    cheap, dear = (forecaster(price).forecast(QUERY, SINGLE, signals).cost for price in (1.0, 100.0))
    assert dear - cheap == pytest.approx(20 * 99)


def test_lengths_never_exceed_max_tokens_nor_samples_the_plan():
    forecast = forecaster().forecast(QUERY, VOTE, {"tokens_out/small": 1e9, "plan_samples/vote/0": 1e9})
    assert forecast.cost == pytest.approx(8 * (100 + 100 * 10))
    assert forecast.cost <= forecast.worst_cost


def test_waves_of_samples_take_their_time_one_after_the_other():
    signals = {"tokens_out/small": 50.0, "plan_samples/vote/0": 8.0}
    assert forecaster().forecast(QUERY, VOTE, signals).latency_s == pytest.approx(2 * (0.2 + 1.0))


def test_a_single_samples_quality_knows_the_gains_where_the_bundle_does():
    known = {"p_correct/small": 0.7, "reward/small": 0.64}
    assert forecaster().forecast(QUERY, SINGLE, known).quality == 0.64


def test_what_a_plan_cannot_exceed_does_not_depend_on_the_plans_before_it():
    """Plans of one backend, whose rules look at samples that grow, or ask about them, or neither."""
    rules = {
        "never": Never(),
        "converged": Converged(),
        "self_eval": SelfEval(),
        "other words": SelfEval(words="Sure?"),
    }
    plans = [Plan(name, (Stage("small", rule, First()),)) for name, rule in rules.items()]
    used, true = forecaster(), {plan.name: worst_cost(QUERY, plan, forecaster().bounds) for plan in plans}
    assert len(set(true.values())) == len(plans)
    for order in itertools.permutations(plans):
        forecasts = used.of(QUERY, {})
        assert {plan.name: forecasts.forecast(plan).worst_cost for plan in order} == true
