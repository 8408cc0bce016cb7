"""Which plan a query gets: modes, prices, limits, draws."""

from __future__ import annotations

import pytest

from predictors.observation import Constraints, Preferences, Sampling
from router.domain.decision import Mode
from router.domain.options import Options
from router.errors import (
    BudgetExceeded,
    InvalidQuery,
    NoPlan,
    UnknownName,
)
from router.first_decision.choose import COPIES
from router.first_decision.forecast import Forecasts

WORST = 191  # micro-dollars of one sample: 15 bytes of prompt + 16 of template, 16 tokens out


async def test_bypass_serves_the_reference_and_predicts_nothing(build, ask, one, told):
    plans = {"small": [one("small")], "large": [one("large")]}
    sure = told({"p_correct/small": 0.9, "p_correct/large": 0.1})
    world = build({"small": ["a"], "large": ["b"]}, plans, predictions=sure, mode=Mode.BYPASS)
    row = (await world.done(ask())).decision
    assert (row.plan, row.policy, row.signals, row.usable) == ("large", "reference", {}, False)


async def test_observe_serves_the_reference_and_logs_what_it_would_have_done(build, ask, one, told):
    plans = {"small": [one("small")], "large": [one("large")]}
    sure = told({"p_correct/small": 0.9, "p_correct/large": 0.1})
    world = build({"small": ["a"], "large": ["b"]}, plans, predictions=sure, mode=Mode.OBSERVE)
    row = (await world.done(ask())).decision
    assert (row.plan, row.would_plan, row.would_propensity) == ("large", "small", 1.0)
    assert not row.usable


async def test_observe_serves_the_reference_also_where_its_further_samples_would_not_help(
    build, ask, one, told
):
    plans = {"small": [one("small")], "vote": [one("large", max_samples=3)]}
    known = told({"p_correct/small": 0.9, "plan_quality/vote": 0.8, "helps/vote": -0.1})
    world = build({"small": ["a"], "large": ["b"]}, plans, predictions=known, mode=Mode.OBSERVE)
    assert world.allocator.books.chooser.menu.reference.name == "vote"
    row = (await world.done(ask())).decision
    assert (row.plan, row.would_plan, row.degraded) == ("vote", "small", ())


async def test_observe_says_why_the_reference_is_not_served(build, ask, one):
    plans = {"small": [one("small")], "large": [one("large")]}
    world = build({"small": ["a"], "large": ["b"]}, plans, mode=Mode.OBSERVE)
    row = (await world.done(ask(constraints=Constraints(denied_backends=("large",))))).decision
    said = "the reference plan 'large' is not feasible: the caller does not allow backend 'large'"
    assert (row.plan, said in row.degraded) == ("small", True)


async def test_observe_calls_a_plan_that_its_caller_insists_on_nothing_amiss(build, ask, one):
    plans = {"small": [one("small")], "large": [one("large")]}
    world = build({"small": ["a"], "large": ["b"]}, plans, mode=Mode.OBSERVE)
    row = (await world.done(ask(constraints=Constraints(plan="small")))).decision
    assert (row.plan, [said for said in row.degraded if "reference" in said]) == ("small", [])


@pytest.mark.parametrize("mode", Mode)
async def test_lengths_that_nobody_knows_choose_no_other_plan_for_a_caller_in_a_hurry(build, ask, one, mode):
    plans = {"small": [one("small")], "large": [one("large")]}
    world = build({"small": ["a"], "large": ["b"]}, plans, mode=mode, max_tokens=1024)  # 10 s at half of them
    done = await world.done(ask(), Options(time_left_s=5.0))
    assert (done.decision.plan, done.decision.degraded) == ("large", ())


@pytest.mark.parametrize("mode", [Mode.BYPASS, Mode.OBSERVE])
async def test_where_nothing_is_to_change_a_wish_for_an_early_first_text_changes_nothing(
    build, ask, one, mode
):
    plans = {"small": [one("small")], "vote": [one("large", max_samples=3)]}
    world = build({"small": ["a"], "large": ["b"]}, plans, mode=mode, max_tokens=1024)
    hurried = ask(constraints=Constraints(max_ttft_s=5.0))
    row = (await world.done(hurried, Options(stream=True))).decision
    assert (row.plan, row.would_plan) == ("vote", "" if mode is Mode.BYPASS else "small")


@pytest.mark.parametrize(("mode", "plan"), [(Mode.OBSERVE, "large"), (Mode.APPLY, "small")])
async def test_a_plan_that_is_known_to_be_late_is_left_out_but_where_nothing_is_to_change(
    build, ask, one, told, mode, plan
):
    plans = {"small": [one("small")], "large": [one("large")]}
    known = told({"tokens_out/small": 50.0, "tokens_out/large": 900.0, "p_correct/large": 0.9})
    world = build({"small": ["a"], "large": ["b"]}, plans, predictions=known, mode=mode, max_tokens=1024)
    row = (await world.done(ask(), Options(time_left_s=5.0))).decision
    assert (row.plan, row.infeasible["large"].split(" 18")[0]) == (plan, "it is expected to take")


async def test_at_temperature_0_samples_are_copies_and_votes_are_not_offered(build, ask, one):
    plans = {"vote": [one("small", max_samples=3)], "small": [one("small")], "large": [one("large")]}
    world = build({"small": ["a"], "large": ["b"]}, plans)
    greedy = Sampling(temperature=0.0)
    row = (await world.done(ask(sampling=greedy))).decision
    assert row.infeasible == {"vote": COPIES}
    asked = await world.done(ask(request_id="r2", sampling=greedy, constraints=Constraints(plan="vote")))
    assert len(asked.decision.samples) == 3
    alone = build({"small": ["a"]}, {"vote": plans["vote"]})
    assert (await alone.done(ask(sampling=greedy))).decision.plan == "vote"


async def test_the_price_moves_the_choice_from_the_better_to_the_cheaper_plan(build, ask, one, told):
    plans = {"small": [one("small")], "large": [one("large")]}
    known = told({"p_correct/small": 0.6, "p_correct/large": 0.8})
    world = build({"small": ["a"], "large": ["b"]}, plans, predictions=known, price=1.0)
    cheap = await world.done(ask(preferences=Preferences(cost_weight=1e6)))
    dear = await world.done(ask(request_id="r2", preferences=Preferences(cost_weight=0.0)))
    assert (cheap.decision.plan, dear.decision.plan) == ("small", "large")


async def test_a_quality_target_takes_the_cheapest_plan_that_reaches_it(build, ask, one, told):
    plans = {"small": [one("small")], "large": [one("large")]}
    known = told({"p_correct/small": 0.6, "p_correct/large": 0.8})
    for target, plan in ((0.5, "small"), (0.7, "large"), (0.99, "large")):
        world = build({"small": ["a"], "large": ["b"]}, plans, predictions=known)
        done = await world.done(ask(constraints=Constraints(min_quality=target)))
        assert done.decision.plan == plan


async def test_an_unknown_plan_is_named_with_the_choices(build, ask, one):
    world = build({"small": ["a"]}, {"small": [one("small")]})
    with pytest.raises(UnknownName, match="unknown plan 'nope'; choose from small"):
        await world.done(ask(constraints=Constraints(plan="nope")))
    assert world.store.rows == []


async def test_a_verifier_that_is_not_there_is_refused(build, ask, one):
    world = build({"small": ["a"]}, {"small": [one("small")]})
    with pytest.raises(InvalidQuery, match="verifier"):
        await world.done(ask(verifier="exact"))


async def test_a_denied_backend_leaves_no_plan(build, ask, one):
    world = build({"small": ["a"]}, {"small": [one("small")]})
    with pytest.raises(NoPlan, match="does not allow backend 'small'"):
        await world.done(ask(constraints=Constraints(denied_backends=("small",))))


async def test_the_worst_case_above_max_cost_leaves_no_plan(build, ask, one):
    world = build({"small": ["a"]}, {"small": [one("small")]})
    with pytest.raises(NoPlan, match="above max_cost = 3"):
        await world.done(ask(constraints=Constraints(max_cost_micros=3)))


async def test_an_empty_budget_refuses_and_a_settled_one_serves_on(build, ask, one):
    world = build({"small": ["a"]}, {"small": [one("small")]}, budget=300)
    served = 0
    while (world.ledger.balance().left or 0) >= WORST:
        await world.done(ask(request_id=f"r{served}"))
        served += 1
    with pytest.raises(BudgetExceeded, match="no plan can be paid for"):
        await world.done(ask(request_id="one more"))
    balance = world.ledger.balance()
    assert balance.reserved == 0
    assert balance.spent == served * 14
    assert served > 300 // WORST  # what was not used came back


async def test_deciding_alone_logs_and_draws_nothing(build, ask, one):
    world = build({"small": ["a"]}, {"small": [one("small")]}, budget=10_000)
    decided = await world.allocator.decide(ask(), Options())
    assert decided.plan.name == "small"
    assert world.store.rows[0].stop_reason == "decided"
    assert world.backends["small"].calls == []
    assert world.ledger.balance().reserved == 0


async def test_an_estimate_leaves_no_trace(build, ask, one):
    world = build({"small": ["a"]}, {"small": [one("small")]}, budget=10_000)
    estimate = world.allocator.estimate(ask(), Options())
    assert estimate.forecasts[0].worst_cost > estimate.forecasts[0].cost
    assert world.store.rows == []


async def test_a_caller_that_wants_one_plan_waits_for_no_forecast_of_another(build, ask, one, monkeypatch):
    world = build({"small": ["a"], "large": ["b"]}, {"small": [one("small")], "large": [one("large")]})
    forecast, plans = Forecasts.forecast, []

    def counted(self, plan):
        plans.append(plan.name)
        return forecast(self, plan)

    monkeypatch.setattr(Forecasts, "forecast", counted)
    chosen = world.allocator.estimate(ask(constraints=Constraints(plan="large")), Options())
    assert plans == [one.plan.name for one in chosen.forecasts] == ["large"]
    assert chosen.infeasible == (("small", "the caller wants plan 'large'"),)


async def test_a_question_what_it_would_cost_is_no_demand_also_where_the_budget_refuses_it(build, ask, one):
    world, refused = build({"small": ["a"]}, {"small": [one("small")]}, budget=1), []

    class Counts:
        def refused(self, tenant: str) -> None:
            refused.append(tenant)

        def kept_back(self, tenant: str) -> int:
            return 0

    world.allocator.books.pricing = Counts()
    with pytest.raises(BudgetExceeded):
        world.allocator.estimate(ask(), Options())
    assert refused == []
    with pytest.raises(BudgetExceeded):
        await world.done(ask())
    assert refused == [""]
