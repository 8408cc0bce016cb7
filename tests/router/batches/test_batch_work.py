"""One budget for many queries: where it goes, that it holds, and what happens as it ends."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from router.batches.batch import Batch, BatchState, Item, Result
from router.batches.batches import MOST_AT_ONCE, BatchDesk
from router.batches.kept import Batches
from router.batches.work import ATTEMPTS, Work
from router.domain.choice import Forecast
from router.errors import BudgetExceeded


async def worked(batch: Batch, kept: Batches, asked: Any, **options: Any) -> tuple[BatchState, Batch]:
    items = kept.waiting(batch.batch_id)
    state = await Work(kept.get(batch.batch_id), items, kept, asked, lambda: 1000.0, **options).run()
    return state, kept.end(batch.batch_id, state)


async def test_money_goes_to_the_queries_that_it_helps_most(kept, add, pretend):
    rng, asked = random.Random(1), pretend()
    gains = [rng.randrange(1, 50) for _ in range(400)]
    budget = 400 * 10 + 200 * 90 // 2  # the dear plan for a quarter of them
    state, ended = await worked(add(gains, budget), kept, asked, at_once=4)
    dear = [gains[position] for position, plan in asked.asked if plan == "large"]
    best = sorted(gains, reverse=True)[: len(dear)]
    assert state is BatchState.DONE and ended.done == 400
    assert sum(dear) >= 0.93 * sum(best)
    assert 0.95 * budget <= ended.spent <= budget


async def at_once_and_dear(batch: Batch, kept: Batches, asked: Any, enter: int) -> tuple[int, int]:
    """With so many let in before the first is answered: how many ran at once, how many took the dear plan."""
    asked.gate.clear()
    work = asyncio.create_task(worked(batch, kept, asked))
    for _ in range(enter):
        await asked.entered.acquire()
    asked.gate.set()
    _, ended = await work
    assert ended.done == batch.total and ended.spent <= (batch.budget or 0)
    return asked.most_at_once, [plan for _, plan in asked.asked].count("large")


@pytest.mark.parametrize(
    ("budget", "floor", "expected"),
    [(30_000, 0.0, (3, 60)), (30_000, 1e4, (16, 0)), (2_700, 0.0, (16, 0))],  # the last: it would never fit
)
async def test_a_plan_that_is_worth_it_is_waited_for_where_its_worst_case_is_far_from_its_cost(
    kept, add, pretend, budget, floor, expected
):
    asked = pretend(worst=(100, 9_000), floor=floor)
    assert await at_once_and_dear(add([30] * 60, budget), kept, asked, expected[0]) == expected


async def test_a_batch_that_has_to_be_over_soon_takes_what_fits_now(kept, add, pretend):
    batch = add([30] * 60, 30_000, finish_by=2000.0)
    at_once, dear = await at_once_and_dear(batch, kept, pretend(worst=(100, 9_000)), 16)
    assert at_once == 16 and dear < 60


@pytest.mark.parametrize("off", [0.5, 1.9])
async def test_forecasts_that_are_off_are_corrected(kept, add, pretend, off):
    rng, asked = random.Random(2), pretend(charged_over_forecast=off)
    gains = [rng.randrange(1, 50) for _ in range(400)]
    budget = int(off * 400 * 30)
    _, ended = await worked(add(gains, budget), kept, asked, at_once=4)
    assert ended.done == 400
    assert 0.93 * budget <= ended.spent <= budget


@pytest.mark.parametrize("seed", range(20))
async def test_never_more_than_the_budget_is_spent(kept, add, pretend, seed):
    rng = random.Random(seed)
    asked = pretend(charged_over_forecast=rng.choice([0.3, 1.0, 2.0]))
    gains = [rng.randrange(0, 50) for _ in range(60)]
    budget = rng.randrange(0, 3000)
    state, ended = await worked(add(gains, budget), kept, asked, at_once=rng.choice([1, 3, 16]))
    assert ended.spent <= budget
    assert (state is BatchState.DONE) == (ended.done == 60)


async def test_where_no_plan_fits_what_is_left_the_batch_is_exhausted(kept, add, pretend):
    state, ended = await worked(add([5] * 10, 65), kept, pretend())
    assert state is BatchState.EXHAUSTED
    assert 0 < ended.done < 10
    assert ended.spent <= 65


async def test_with_more_money_an_exhausted_batch_goes_on(kept, add, pretend):
    await worked(add([5] * 10, 65), kept, pretend())
    again = add([5] * 10, 5000)
    assert again.state is BatchState.RUNNING
    state, ended = await worked(again, kept, pretend())
    assert state is BatchState.DONE and ended.done == 10


async def test_without_a_budget_every_query_pays_what_the_tenant_pays(kept, add, pretend):
    asked = pretend()
    _, ended = await worked(add([5, 6, 7]), kept, asked)
    assert set(asked.prices) == {0.0}
    assert ended.done == 3


async def test_what_waits_for_money_goes_on_when_some_comes_back(kept, add, pretend):
    asked = pretend(worst=(100, 100), costs=(10, 10))
    asked.gate.clear()
    work = asyncio.create_task(worked(add([0] * 12, 250), kept, asked, at_once=8))
    for _ in range(2):  # of 100 each; the others wait
        await asked.entered.acquire()
    asked.gate.set()
    _, ended = await work
    assert asked.most_at_once == 2
    assert ended.done == 12


async def test_a_refusal_that_says_when_is_asked_again(kept, add, pretend):
    _, ended = await worked(add([5, 5]), kept, pretend(refusals=2))
    assert (ended.done, ended.failed) == (2, 0)


async def test_a_query_too_dear_for_what_is_left_does_not_end_the_batch_for_the_others(kept, add, pretend):
    class Long(pretend):  # type: ignore[misc, valid-type]
        """Query 1 is long: not even its cheap plan fits the budget."""

        def look(self, item):
            by = 100 if item.position == 1 else 1
            found = super().look(item)
            dearer = [replace(one, worst_cost=by * one.worst_cost) for one in found.forecasts]
            return replace(found, forecasts=dearer)

    state, ended = await worked(add([5, 5, 5, 5], 500), kept, Long(), at_once=2)
    assert (state, ended.done, ended.failed) == (BatchState.EXHAUSTED, 3, 0)
    assert [item.position for item in kept.waiting("b")] == [1]


async def test_others_are_let_in_while_a_batch_without_money_is_looked_through(kept, add, pretend):
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    state, _ = await worked(add([5] * 300, 0), kept, pretend(), at_once=1)
    beside.cancel()
    assert state is BatchState.EXHAUSTED
    assert turns >= 256 + 300  # of a sample that was looked at for the price, and of all that found no money


def poor(pretend: Any, refused: int) -> Any:
    """So many looks find nothing left; then there is some again."""

    class Poor(pretend):  # type: ignore[misc]  # a class that a fixture gives
        def look(self, item: Item) -> Any:
            self.seen.add(item.body)
            if self.refused:
                self.refused -= 1
                raise BudgetExceeded("no plan can be paid for", retry_after_s=0.001)
            return super().look(item)

    asked: Any = Poor()
    asked.refused, asked.seen = refused, set()
    return asked


async def test_a_tenants_budget_that_is_used_up_for_now_is_waited_for(kept, add, pretend):
    asked = poor(pretend, 3)
    _, ended = await worked(add([5, 5]), kept, asked, at_once=1)
    assert (ended.done, ended.failed) == (2, 0)


async def test_what_a_tenant_has_no_money_for_for_long_waits_while_other_batches_run(kept, add, pretend):
    asked = poor(pretend, ATTEMPTS + 1)
    add([5, 5, 5])
    work = Work(kept.get("b"), kept.waiting("b"), kept, asked, lambda: 1000.0, at_once=1)
    assert await work.run() is BatchState.RUNNING
    # one was tried for long, one once, one had luck
    assert (work.pause_s, len(kept.waiting("b"))) == (
        0.001,
        2,
    )


async def test_a_batch_whose_tenant_has_no_money_takes_no_place_and_is_worked_off_when_there_is(
    kept, add, pretend
):
    asked, names = poor(pretend, 10**9), [f"b{number}" for number in range(MOST_AT_ONCE + 1)]
    for number, name in enumerate(names):
        add([number], batch_id=name)
    desk = BatchDesk(kept, asked, "r", lambda: 1000.0, every_s=0.01)
    desk.start()
    async with asyncio.timeout(20.0):
        while len(asked.seen) < len(names):  # noqa: ASYNC110 (nobody is told)
            await asyncio.sleep(0.005)
        asked.refused = 0
        while any(kept.get(name).state is BatchState.RUNNING for name in names):  # noqa: ASYNC110 (as above)
            await asyncio.sleep(0.005)
    await desk.close()


async def test_other_errors_are_results(kept, add, pretend):
    state, ended = await worked(add([5, 5], 1000), kept, pretend(broken=True))
    assert (state, ended.done, ended.failed, ended.spent) == (BatchState.DONE, 0, 2, 0)
    assert [found.body for found in kept.results("b", 0, 10)] == [b"gone", b"gone"]


async def test_a_query_that_breaks_the_service_fails_alone(kept, add, pretend):
    class Breaks(pretend):  # type: ignore[misc, valid-type]
        async def answer(self, item, most, price, time_left_s):
            if item.position == 1:
                raise ZeroDivisionError("a bug")
            return await super().answer(item, most, price, time_left_s)

        def failure(self, item, error):
            return Result(item.position, type(error).__name__.encode(), failed=True)

    with capture_logs() as logged:
        state, ended = await worked(add([5] * 5, 10_000), kept, Breaks(), at_once=2)
    assert (state, ended.done, ended.failed) == (BatchState.DONE, 4, 1)
    assert ended.spent == 4 * 100 + 200  # and what the broken one may have cost
    assert [found.body for found in kept.results("b", 0, 10) if found.failed] == [b"ZeroDivisionError"]
    assert [entry["log_level"] for entry in logged] == ["error"]


async def test_what_has_not_begun_in_time_fails(kept, add, pretend, monkeypatch):
    batch = add([5, 5], 1000)
    late = Work(
        Batch(batch.batch_id, "acme", 2, 1000, finish_by=999.0),
        kept.waiting("b"),
        kept,
        pretend(),
        lambda: 1000.0,
    )
    await late.run()
    assert kept.get("b").failed == 2


async def test_an_attempt_that_was_cut_counts_with_all_it_might_have_cost(kept, add, pretend):
    asked = pretend()
    asked.gate.clear()
    batch = add([5, 5, 5], 1000)
    work = asyncio.create_task(worked(batch, kept, asked, at_once=1))
    await asked.entered.acquire()
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    assert len(kept.waiting("b")) == 3
    assert kept.get("b").spent == 200  # the dear plan's worst case
    asked.gate.set()
    _, ended = await worked(batch, kept, asked)
    assert ended.done == 3
    assert ended.spent >= 200


def test_a_forecast_without_quality_buys_nothing_beyond_the_cheapest(pretend):
    from router.batches.price import BatchPrice
    from router.pricing.offers import offer_of_forecasts

    plan = pretend().look(type("I", (), {"body": b"5"})).forecasts[0].plan
    offer = offer_of_forecasts([Forecast(plan, None, 10.0, 0.0, 20)], 1.0, 0.0, None)
    assert BatchPrice([offer], 10).now(1000.0, 10) == 0.0


async def test_what_was_refused_before_it_was_asked_has_cost_nothing(kept, add, pretend):
    class Dearer(pretend):  # type: ignore[misc, valid-type]
        """After the refusal no plan fits any more."""

        def look(self, item):
            by = 1 if self.refusals else 100
            found = super().look(item)
            dearer = [replace(one, worst_cost=by * one.worst_cost) for one in found.forecasts]
            return replace(found, forecasts=dearer)

    state, ended = await worked(add([5], 500), kept, Dearer(refusals=1))
    assert (state, ended.spent) == (BatchState.EXHAUSTED, 0)
