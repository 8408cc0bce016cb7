"""Backends that fail, callers that leave, deadlines that pass."""

from __future__ import annotations

import asyncio

import pytest

from predictors.observation import Constraints, OnUnavailable
from router.costs.worst_case import worst_cost
from router.domain.decision import Status
from router.domain.events import SampleEnded
from router.domain.options import Options
from router.errors import (
    BackendRefused,
    BackendUnavailable,
    DeadlineExceeded,
)
from router.stopping.confident import Confident


async def test_a_dead_backend_hands_over_to_another_plan_and_says_so(build, ask, one):
    plans = {"small": [one("small")], "large": [one("large")]}
    world = build({"small": ["a"], "large": ["!unavailable"]}, plans)
    done = await world.done(ask())
    assert done.answers[0].text == "a"
    row = done.decision
    assert row.plan == "small" and any("took over" in reason for reason in row.degraded)
    # the drawn plan's outcome: its backend failed, and this is what the caller got
    assert row.usable and row.would_plan == "large"
    assert row.propensity == row.would_propensity == row.probabilities["large"]
    assert world.ledger.balance().reserved == 0


async def test_stages_of_what_takes_over_are_numbered_after_all_of_the_failed_plans(build, ask, one):
    plans = {"small": [one("small")], "both": [one("mid"), one("large")]}
    world = build({"small": ["a"], "mid": ["!unavailable"], "large": ["!unavailable"]}, plans)
    row = (await world.done(ask())).decision
    assert (row.would_plan, [(one.backend, one.stage) for one in row.samples]) == ("both", [("small", 2)])


async def test_a_dead_backend_fails_where_the_caller_said_so(build, ask, one):
    plans = {"small": [one("small")], "large": [one("large")]}
    world = build({"small": ["a"], "large": ["!unavailable"]}, plans)
    with pytest.raises(BackendUnavailable) as caught:
        await world.done(ask(constraints=Constraints(on_unavailable=OnUnavailable.FAIL)))
    assert caught.value.decision_id == "d-r1"
    assert world.store.rows[0].status is Status.FAILED


async def test_what_takes_over_stays_within_max_cost_with_what_was_used_before(build, ask, one):
    plans = {"large": [one("large")], "vote": [one("small", max_samples=2, width=2)]}
    scripts = {"small": ["!hang", "!unavailable"], "mid": ["2"], "large": ["3"]}
    world = build(scripts, plans, max_tokens=200)
    books, text = world.allocator.books, "word " * 100
    bounds = books.chooser.forecaster.bounds
    most = max(worst_cost(ask(text), plan, bounds) for plan in books.chooser.menu.plans)
    free = (await world.done(ask(text))).decision
    assert free.plan == "large" and free.cost < most  # it was lucky: the large model could have said more
    with pytest.raises(BackendUnavailable):
        await world.done(ask(text, request_id="r2", constraints=Constraints(max_cost_micros=most)))
    assert 0 < world.store.rows[1].cost < free.cost
    room = Constraints(max_cost_micros=2 * most)
    assert (await world.done(ask(text, request_id="r3", constraints=room))).decision.plan == "large"


async def test_where_all_fail_each_is_named_once_to_the_caller_and_in_the_row(build, ask, one):
    plans = {"both": [one("mid"), one("large")], "small": [one("small")]}
    world = build({name: ["!unavailable"] for name in ("small", "mid", "large")}, plans)
    with pytest.raises(BackendUnavailable) as caught:
        await world.done(ask())
    for said in (str(caught.value), world.store.rows[0].error):
        assert all(said.count(name) == 1 for name in ("small:", "mid:", "large:")), said


async def test_a_dead_second_stage_leaves_the_answer_of_the_first(build, ask, one, told):
    plan = [one("small", Confident(0.8)), one("large")]
    world = build(
        {"small": ["2"], "large": ["!timeout"]}, {"cascade": plan}, predictions=told(confidences=[0.1])
    )
    done = await world.done(ask())
    assert done.answers[0].text == "2"
    assert any("'large' failed" in reason for reason in done.decision.degraded)


async def test_a_dead_first_stage_is_skipped(build, ask, one):
    plan = [one("small", Confident(0.8)), one("large")]
    world = build({"small": ["!garbled"], "large": ["3"]}, {"cascade": plan})
    done = await world.done(ask())
    assert done.answers[0].text == "3"


async def test_a_request_that_the_backend_calls_invalid_is_not_tried_elsewhere(build, ask, one):
    plans = {"small": [one("small")], "large": [one("large")]}
    world = build({"small": ["a"], "large": ["!refused"]}, plans)
    with pytest.raises(BackendRefused):
        await world.done(ask())


async def test_leaving_frees_the_backend_settles_and_logs(build, ask, one):
    world = build({"small": ["a", "!hang"]}, {"vote": [one("small", max_samples=4, width=2)]}, budget=10_000)
    stream = world.allocator.run(ask(), Options(tell=True))
    async for event in stream:
        if isinstance(event, SampleEnded):
            break
    await stream.aclose()
    assert world.backends["small"].in_flight == set()
    assert world.ledger.balance().reserved == 0
    assert world.store.rows[0].status is Status.CANCELLED
    assert world.allocator.in_flight == 0


async def test_a_cancelled_task_frees_the_backend_settles_and_logs(build, ask, one):
    world = build({"small": ["!hang"]}, {"small": [one("small")]}, budget=10_000)
    task = asyncio.create_task(world.done(ask()))
    while not world.backends["small"].in_flight:  # noqa: ASYNC110 (the backend is a product, without an event for tests)
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.backends["small"].in_flight == set()
    assert world.ledger.balance().reserved == 0
    assert world.store.rows[0].status is Status.CANCELLED


async def test_a_deadline_answers_with_what_there_is(build, ask, one):
    world = build({"small": ["a", "!hang"]}, {"vote": [one("small", max_samples=4, width=1)]})
    done = await world.done(ask(), Options(time_left_s=0.2))
    assert done.answers[0].text == "a"
    assert done.decision.status is Status.DEADLINE_CUT
    assert world.backends["small"].in_flight == set()


async def test_a_deadline_with_nothing_to_show_is_an_error(build, ask, one):
    world = build({"small": ["!hang"]}, {"small": [one("small")]})
    with pytest.raises(DeadlineExceeded):
        await world.done(ask(), Options(time_left_s=0.1))
    assert world.store.rows[0].status is Status.FAILED
