"""The two ends of a query at their edges: its time, what is kept for others, what is kept of it, what prices are told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from predictors.observation import Preferences, Sample
from router.domain.backend_state import BackendState
from router.domain.decision import Keep
from router.domain.options import Options
from router.errors import BudgetExceeded
from router.switches.canary import Canary


@dataclass
class Told:
    """Prices that keep `back` micro-dollars for urgent queries and write down what they are told."""

    back: int = 0
    ended_with: list[dict[str, Any]] = field(default_factory=list)
    plans: list[list[str]] = field(default_factory=list)
    refusals: int = 0

    def kept_back(self, tenant: str) -> int:
        return self.back

    def refused(self, tenant: str) -> None:
        self.refusals += 1

    def ended(self, tenant: str, forecasts: Any, **told: Any) -> None:
        self.plans.append([one.plan.name for one in forecasts])
        self.ended_with.append(told)


@pytest.fixture
def two(build, one, told):
    """A cheap plan and a better one that costs twice as much, 300 micro-dollars: enough for the cheap one."""
    known = told({"p_correct/small": 0.6, "p_correct/large": 0.8})
    plans = {"small": [one("small")], "large": [one("large")]}
    return build({"small": ["a"], "large": ["b"]}, plans, predictions=known, budget=300, price=2.0)


@pytest.mark.parametrize(("left_s", "margin_s"), [(1.0, 0.05), (5.0, 0.25), (60.0, 0.25)])
def test_a_twentieth_of_the_callers_time_and_at_most_a_quarter_second_is_kept_for_the_reply(
    two, ask, left_s, margin_s
):
    progress = two.allocator.books.begin(ask(), Options(time_left_s=left_s))
    assert progress.deadline_s - progress.started_s == pytest.approx(left_s - margin_s)


def test_what_is_kept_for_urgent_queries_is_there_for_them_alone(two, ask):
    books = two.allocator.books
    books.pricing = Told(back=200)
    with pytest.raises(BudgetExceeded):
        books.begin(ask(), Options())
    assert books.begin(ask(priority=1), Options()).plan.name == "small"
    assert books.pricing.refusals == 1


async def test_of_texts_no_more_is_kept_than_the_caller_and_the_service_both_allow(two, ask):
    books = two.allocator.books
    kept = {}
    for own, wanted in ((Keep.FULL, None), (Keep.FULL, Keep.OFF), (Keep.OFF, Keep.FULL)):
        books.settings = replace(books.settings, keep=own)
        row = (await two.done(ask(request_id=f"{own}{wanted}"), Options(keep=wanted))).decision
        kept[own, wanted] = row.query_text is not None
    assert list(kept.values()) == [True, False, False]


async def test_prices_hear_of_plans_that_money_alone_forbade_and_of_the_price_without_the_callers_weight(
    two, ask
):
    two.allocator.books.pricing = prices = Told()
    await two.done(ask(preferences=Preferences(cost_weight=4.0)))
    await two.done(ask(request_id="r2", preferences=Preferences(cost_weight=0.0)))
    assert prices.plans == [["small", "large"]] * 2
    assert [told["price"] for told in prices.ended_with] == [2.0, 0.0]
    assert [told["weight"] for told in prices.ended_with] == [4.0, 0.0]


@pytest.mark.parametrize(("advised", "state"), [(False, BackendState.DISABLE), (True, BackendState.ENABLE)])
def test_a_callers_own_samples_take_no_backend_from_the_others(two, ask, advised, state):
    books = two.allocator.books
    progress = books.begin(ask(), Options(advised=advised))
    books.watch(progress, Sample("0.0", "small", tokens_out=17), max_tokens=16)
    assert progress.degraded == ["backend 'small': it gave 17 tokens where max_tokens was 16"]
    closed = bool(books.chooser.feasibility.switch.objection("small"))
    assert closed is (state is BackendState.DISABLE)


def test_a_canary_decides_for_its_share_of_the_queries_alone(two, ask, told):
    books = two.allocator.books
    other = told(version="canary")
    books.swap(books.chooser, (), Canary(replace(books.chooser, predictions=other), 0.3))
    versions = [books.begin(ask(request_id=f"r{at}"), Options()).predictions.version for at in range(300)]
    assert versions.count("canary") == pytest.approx(90, abs=25)  # three standard deviations
    assert set(versions) == {"canary", "told"}
