"""Queries whose backend an operator takes away while they run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from predictors.observation import Constraints, OnUnavailable, Query
from router.assemble_parts import members_of
from router.backends.draft_then_refine import DraftThenRefine
from router.config import BackendConfig, ComposeConfig
from router.domain.backend_state import BackendState
from router.domain.events import SampleEnded
from router.domain.options import Options
from router.errors import BackendUnavailable

HANG = "!hang"


async def hanging(world: Any, query: Query) -> asyncio.Task[Any]:
    """The query, running, where its backend `small` has it in flight."""
    running = asyncio.create_task(world.done(query))
    while not world.backends["small"].in_flight:  # noqa: ASYNC110 (nothing else tells of it)
        await asyncio.sleep(0)
    return running


async def test_another_plan_takes_over_where_the_backend_is_disabled(build, ask, one):
    world = build({"small": [HANG], "large": ["3"]}, {"large": [one("large")], "small": [one("small")]})
    running = await hanging(world, ask())
    world.allocator.switch.set("small", BackendState.DISABLE)
    done = await running
    assert done.answers[0].backend == "large"
    assert any("'small' is disabled by an operator" in why for why in done.decision.degraded)
    assert world.backends["small"].in_flight == set()


async def test_what_was_drawn_before_may_still_answer(build, ask, one):
    world = build({"small": ["2", HANG]}, {"small": [one("small", max_samples=2)]})
    async for event in world.allocator.run(ask(), Options(tell=True)):
        if isinstance(event, SampleEnded):
            world.allocator.switch.set("small", BackendState.DISABLE)
    assert [row.answer_text for row in world.store.rows] == ["2"]


async def test_a_stage_that_would_begin_later_is_left_out(build, ask, one):
    world = build({"small": ["2"], "large": ["3"]}, {"cascade": [one("small"), one("large")]})
    texts = []
    async for event in world.allocator.run(ask(), Options(tell=True)):
        if isinstance(event, SampleEnded):
            world.allocator.switch.set("large", BackendState.DISABLE)
            texts.append(event.sample.text)
    assert texts == ["2"]
    assert not world.backends["large"].calls
    (row,) = world.store.rows
    assert row.answer_text == "2" and any("'large' is disabled" in why for why in row.degraded)


async def test_a_plan_that_runs_may_enter_a_backend_that_is_drained(build, ask, one):
    world = build({"small": ["2"], "large": ["3"]}, {"cascade": [one("small"), one("large")]})
    async for event in world.allocator.run(ask(), Options(tell=True)):
        if isinstance(event, SampleEnded):
            world.allocator.switch.set("large", BackendState.DRAIN)
    assert [row.answer_text for row in world.store.rows] == ["3"]


async def test_no_query_is_handed_to_a_backend_that_is_drained(build, ask, one):
    scripts = {"small": ["!unavailable"], "large": ["3"]}
    world = build(scripts, {"large": [one("large")], "small": [one("small")]})
    running = world.allocator.run(ask(), Options())
    await anext(running)
    world.allocator.switch.set("large", BackendState.DRAIN)
    with pytest.raises(BackendUnavailable, match="scripted fault"):
        _ = [event async for event in running]
    assert not world.backends["large"].calls


async def test_a_caller_who_wants_no_substitute_gets_the_error(build, ask, one):
    world = build({"small": [HANG], "large": ["3"]}, {"large": [one("large")], "small": [one("small")]})
    running = await hanging(world, ask(constraints=Constraints(on_unavailable=OnUnavailable.FAIL)))
    world.allocator.switch.set("small", BackendState.DISABLE)
    with pytest.raises(BackendUnavailable, match="'small' is disabled by an operator"):
        await running


async def test_only_what_may_still_run_is_in_flight(build, ask, one):
    world = build({"small": ["1", "2", "3", HANG]}, {"vote": [one("small", max_samples=4, width=2)]})
    switch, counts = world.allocator.switch, []
    async for event in world.allocator.run(ask(), Options(tell=True)):
        if isinstance(event, SampleEnded):
            counts.append(switch.in_flight("small"))
            if len(counts) == 3:
                switch.set("small", BackendState.DISABLE)
    assert counts == [2, 2, 1]
    assert switch.in_flight("small") == 0


@pytest.fixture
def composed(build, one) -> Any:
    """Builds a house with the plans `both` (a composition) and `small`, of which the last is wanted."""

    def make(scripts: dict[str, list[str]], *plans: str) -> Any:
        world = build({**scripts, "both": ["-"]}, {name: [one(name)] for name in plans})
        config = BackendConfig(kind="draft_then_refine", compose=ComposeConfig(small="small", large="large"))
        backend = DraftThenRefine("both", config, dict(world.backends))
        world.backends["both"] = world.allocator.backends["both"] = backend
        world.allocator.switch._members = members_of(world.backends)
        return world

    return make


@pytest.mark.parametrize("state", [BackendState.DRAIN, BackendState.DISABLE])
async def test_a_composition_is_as_closed_as_those_that_it_asks(composed, ask, state):
    world = composed({"small": ["2"], "large": ["3"]}, "small", "both")
    assert (await world.done(ask())).decision.plan == "both"
    world.allocator.switch.set("large", state)
    done = await world.done(ask(request_id="r2"))
    assert done.decision.plan == "small"
    assert "'large'" in done.decision.infeasible["both"]
    assert set(world.allocator.switch.closed()) == {"large", "both"}
    assert len(done.decision.degraded) == len(world.allocator.switch.objections()) == 1


async def test_a_composition_that_runs_is_cut_where_a_backend_that_it_asks_is_disabled(composed, ask):
    world = composed({"small": [HANG], "large": ["3"]}, "large", "both")
    running = await hanging(world, ask())
    assert world.allocator.switch.in_flight("small") == world.allocator.switch.in_flight("large") == 1
    world.allocator.switch.set("small", BackendState.DISABLE)
    done = await running
    assert done.answers[0].backend == "large"
    assert any("'small' is disabled by an operator" in why for why in done.decision.degraded)
    assert world.allocator.switch.in_flight("small") == 0


async def test_a_composition_of_a_backend_that_the_caller_denies_is_not_asked(composed, ask):
    world = composed({"small": ["2"], "large": ["3"]}, "small", "both")
    done = await world.done(ask(constraints=Constraints(denied_backends=("large",))))
    assert done.decision.plan == "small" and not world.backends["large"].calls
    only = Constraints(allowed_backends=("both",))
    assert (await world.done(ask(request_id="r2", constraints=only))).decision.plan == "both"
