"""The first decision at its edges: what exactly fits stays, ties are no exploration, weights and prices arrive."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from predictors import Look
from predictors.observation import (
    Constraints,
    Message,
    Observation,
    Part,
    Preferences,
    Query,
    Sampling,
    Signals,
)
from router.backends import Capabilities
from router.costs.worst_case import Bound
from router.domain.choice import Situation
from router.domain.plan import Gate, Plan, Stage
from router.domain.speed import Speed
from router.domain.usage import Price
from router.errors import BudgetExceeded, PluginError
from router.first_decision.choose import COPIES, RISKY, Chooser, Menu
from router.first_decision.draw import pick, stage_seed
from router.first_decision.feasible import Feasibility, Limits
from router.first_decision.forecast import Forecaster
from router.policies import Policy
from router.selectors.first import First
from router.stopping.never import Never

FREE = Limits()
MAX_TOKENS = 16


@dataclass(frozen=True)
class Says(Policy):
    """The distribution that the test wants; keeps what it was shown."""

    shares: Sequence[float] = ()
    seen: list[Situation] = field(default_factory=list)

    def probabilities(self, situation: Situation) -> Sequence[float]:
        self.seen.append(situation)
        return self.shares or [1.0, *[0.0] * (len(situation.forecasts) - 1)]


@dataclass(frozen=True)
class Told:
    """Predictions that say what the test tells them."""

    signals: Mapping[str, float] = field(default_factory=dict)
    version: str = "told"

    def look(self, query: Query) -> Look:
        return Look(self.signals)

    def confidence(self, seen: Observation, look: Look) -> Signals:
        return {}


@dataclass(frozen=True)
class Asks:
    """A budget's price."""

    now: float

    def price(self, tenant: str = "") -> float:
        return self.now


def ask(text: str = "2 + 2?", **more: object) -> Query:
    return Query("r", (Message("user", (Part(text=text),)),), **more)  # type: ignore[arg-type]


def single(name: str, most: int = 1) -> Plan:
    return Plan(name, (Stage(name.partition(" ")[0], Never(), First(), max_samples=most),))


def chooser(
    *plans: Plan,
    policy: Policy | None = None,
    context_tokens: int | None = None,
    signals: Mapping[str, float] | None = None,
    **more: object,
) -> Chooser:
    """Over backends `a` and `b`, of which `b` costs twice as much; the last plan is the reference, the first untrained."""
    plans = plans or (single("a"), single("b"))
    prices = {"a": 1.0, "b": 2.0}
    forecaster = Forecaster(
        {name: Bound(Price(price, price, price), MAX_TOKENS, 8) for name, price in prices.items()},
        {name: Speed(0.0, 1.0) for name in prices},
    )
    able = Capabilities(context_tokens=context_tokens)
    built = Chooser(
        Menu(plans, plans[-1], plans[0]),
        policy or Says(),
        "says",
        Told(signals or {}),
        forecaster,
        Feasibility(dict.fromkeys(prices, able), forecaster),
        price=0.0,
        latency_price=0.0,
        seed=0,
    )
    return replace(built, **more)  # type: ignore[arg-type]


def names(chosen: object) -> list[str]:
    return [one.plan.name for one in chosen.forecasts]  # type: ignore[attr-defined]


# ------------------------------------------------------------------------------------------------ draws


def test_a_number_on_a_border_belongs_to_the_plan_behind_it():
    assert [pick([0.5, 0.5], u) for u in (0.0, math.nextafter(0.5, 0), 0.5)] == [0, 0, 1]


def test_the_callers_seed_of_zero_is_a_seed():
    own = Sampling(seed=0)
    assert stage_seed(7, Query("a", (), sampling=own), 0) == stage_seed(9, Query("b", (), sampling=own), 0)


def test_the_second_of_two_plans_that_are_as_likely_is_no_exploration():
    plans = chooser(policy=Says((0.5, 0.5)))
    found = [plans.choose(replace(ask(), request_id=str(at)), FREE).choice for at in range(20)]
    assert {one.plan.name for one in found} == {"a", "b"}
    assert not any(one.explored for one in found)
    rare = chooser(policy=Says((0.4, 0.6)))
    found = [rare.choose(replace(ask(), request_id=str(at)), FREE).choice for at in range(20)]
    assert {(one.plan.name, one.explored) for one in found} == {("a", True), ("b", False)}


@pytest.mark.parametrize("shares", [(0.5, 0.51), (0.5, 0.49), (1.0,), (1.5, -0.5), (math.nan, 1.0)])
def test_what_is_no_distribution_is_the_policys_fault(shares: Sequence[float]):
    with pytest.raises(PluginError, match="is no distribution over 2 plans"):
        chooser(policy=Says(shares)).choose(ask(), FREE)


def test_a_plan_that_the_caller_wants_is_logged_as_forced():
    chosen = chooser().choose(ask(constraints=Constraints(plan="b")), FREE).choice
    assert (chosen.plan.name, chosen.policy, chosen.propensity) == ("b", "forced", 1.0)
    assert chooser().choose(ask(), FREE).choice.policy == "says"


# ------------------------------------------------------------------------------------------------ prices


def test_the_callers_weights_multiply_both_prices():
    says = Says()
    plans = chooser(policy=says, price=10.0, latency_price=0.5)
    chosen = plans.choose(ask(preferences=Preferences(cost_weight=3.0, latency_weight=4.0)), FREE)
    assert (says.seen[0].price, says.seen[0].latency_price, chosen.price) == (30.0, 2.0, 30.0)


@pytest.mark.parametrize(
    ("configured", "budgets", "least", "found"),
    [(5.0, None, 0.0, 5.0), (5.0, 2.0, 0.0, 5.0), (5.0, 7.0, 0.0, 7.0), (5.0, 7.0, 9.0, 9.0)],
)
def test_the_highest_of_the_configured_price_the_budgets_and_a_batchs_holds(
    configured: float, budgets: float | None, least: float, found: float
):
    plans = chooser(price=configured, prices=None if budgets is None else Asks(budgets))
    assert plans.choose(ask(), FREE, least_price=least).price == found


def test_where_nothing_is_known_the_untrained_plan_is_the_default_before_the_reference():
    says = Says()
    plans = chooser(policy=says)
    first, second = plans.menu.plans
    for untrained, reference in ((first, second), (second, first)):
        replace(plans, menu=Menu((first, second), reference, untrained)).choose(ask(), FREE)
    assert [one.default for one in says.seen] == [0, 1]


# ------------------------------------------------------------------------------------------------ what fits


def worst(plan: str) -> int:
    (found,) = [one.worst_cost for one in chooser().choose(ask(), FREE).forecasts if one.plan.name == plan]
    return found


def test_a_worst_case_of_just_what_may_be_spent_fits():
    plans, most = chooser(), worst("b")
    assert names(plans.choose(ask(constraints=Constraints(max_cost_micros=most)), FREE)) == ["a", "b"]
    assert names(plans.choose(ask(constraints=Constraints(max_cost_micros=most - 1)), FREE)) == ["a"]
    assert names(plans.choose(ask(), Limits(budget_left=most))) == ["a", "b"]
    short = plans.choose(ask(), Limits(budget_left=most - 1))
    assert (names(short), [one.plan.name for one in short.unpaid]) == (["a"], ["b"])


def test_a_refusal_for_money_says_what_the_cheapest_plan_would_need():
    with pytest.raises(BudgetExceeded) as caught:
        chooser().choose(ask(), Limits(budget_left=1))
    assert caught.value.needed_micros == worst("a") < worst("b")


def test_a_plan_that_loses_just_the_risk_allowed_stays():
    signals = {"p_correct/a": 0.5, "p_correct/b": 0.75}
    risky = ask(constraints=Constraints(max_risk=0.25))
    assert names(chooser(signals=signals).choose(risky, FREE)) == ["a", "b"]
    strict = chooser(signals=signals).choose(ask(constraints=Constraints(max_risk=0.2)), FREE)
    assert (names(strict), strict.infeasible) == (["b"], (("a", RISKY),))


def test_a_plan_that_is_expected_at_the_deadline_stays_and_one_of_unknown_length_does_too():
    cascade = Plan("both", (*single("a").stages, *single("b").stages))
    plans = chooser(single("a"), cascade, signals={"tokens_out/a": 8.0})
    latency = {one.plan.name: one.latency_s for one in plans.choose(ask(), FREE).forecasts}
    assert names(plans.choose(ask(), Limits(time_left_s=latency["a"]))) == ["a", "both"]
    assert names(plans.choose(ask(), Limits(time_left_s=latency["a"] - 0.001))) == ["both"]


def test_max_tokens_may_fill_a_backends_room_and_a_prompt_is_guessed_low():
    assert names(chooser(context_tokens=MAX_TOKENS).choose(ask("x"), FREE)) == ["a", "b"]
    with pytest.raises(Exception, match=f"max_tokens is above the {MAX_TOKENS - 1} tokens"):
        chooser(context_tokens=MAX_TOKENS - 1).choose(ask("x"), FREE)
    text = "x" * 4 * 30  # some 30 tokens: half of them would fit, all would not
    assert names(chooser(context_tokens=MAX_TOKENS + 4).choose(ask(text), FREE)) == ["a", "b"]


def test_at_temperature_0_the_reference_stays_though_it_votes():
    plans = chooser(single("a"), single("b copies", most=3), single("b", most=3))
    chosen = plans.choose(ask(sampling=Sampling(temperature=0.0)), FREE)
    assert (names(chosen), chosen.infeasible) == (["a", "b"], (("b copies", COPIES),))


def test_a_gate_opens_at_its_lower_border_and_closes_at_its_upper_one():
    gate = Gate("p", at_least=0.25, below=0.75)
    assert [gate.opens({"p": value}) for value in (0.2, 0.25, 0.5, 0.75)] == [False, True, True, False]
    assert gate.opens({})
