"""Shadows follow what serves: its prices by date, its canary, what is wrong with it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from predictors.observation import Message, Part, Query, Sampling
from router.assemble import Service, assemble
from router.config import Config
from router.domain.decision import Decision
from router.domain.events import Done
from router.domain.options import Options
from router.domain.plan import Plan
from router.shadow import SHADOW_OF
from router.switches.canary import Canary

BEFORE = 1_700_000_000.0  # 6,400 s before the date
OBSERVED = {
    "backends": {
        "small": {
            "kind": "scripted",
            "script": ["4"],
            "price_in": 1.0,
            "price_out": 1.0,
            "prices": [{"since": "2023-11-15", "price_out": 100.0}],
        },
        "large": {"kind": "scripted", "script": ["4"], "price_in": 9.0, "price_out": 9.0},
    },
    "plans": [
        {"name": "small", "stages": [{"backend": "small", "max_tokens": 10}]},
        {"name": "large", "stages": [{"backend": "large", "max_tokens": 10}]},
    ],
    "policy": {"kind": "fixed", "plan": "small"},
    "reference": "large",
    "mode": "observe",
    "shadow": {"share": 1.0, "dollars": 1.0},
    "store": {"sqlite": ":memory:"},
}


@pytest.fixture
async def observed(tmp_path: Path) -> Any:
    """A service and its clock."""
    now = [BEFORE]
    service = assemble(msgspec.convert(OBSERVED, Config), base=tmp_path, wall_s=lambda: now[0])
    yield service, now
    await service.close()


async def shadowed(service: Service, request_id: str = "r") -> tuple[Decision, Decision]:
    """Ask; the row that was served and its shadow's."""
    query = Query(request_id, (Message("user", (Part(text="What is 2 + 2?"),)),))
    events = [event async for event in service.answers.run(query, Options())]
    assert isinstance(events[-1], Done) and service.shadows is not None
    await asyncio.gather(*service.shadows._running)
    served = events[-1].decision
    rows = (await service.store.decisions(1000)).decisions
    (row,) = [row for row in rows if row.metadata.get(SHADOW_OF) == served.decision_id]
    return served, row


async def test_shadow_rows_cost_what_it_costs_by_then(observed):
    service, now = observed
    _, before = await shadowed(service, "r1")
    now[0] += 10_000
    _, later = await shadowed(service, "r2")
    assert before.usage == later.usage
    assert (before.prices_since, later.prices_since) == ("", "2023-11-15T00:00:00+00:00")
    assert later.cost == pytest.approx(before.cost + 99.0 * before.usage["small"].tokens_out)
    assert service.shadows.ledger.balance().spent == pytest.approx(before.cost + later.cost, abs=2)


async def test_a_query_of_a_canary_has_a_shadow_of_the_canarys_plan(observed):
    service, _ = observed
    books = service.allocator.books
    stage = books.chooser.menu.plans[0].stages[0]
    plan = Plan("small", (replace(stage, sampling=Sampling(max_tokens=5)),))
    menu = replace(books.chooser.menu, plans=(plan, books.chooser.menu.reference))
    books.swap(books.chooser, (), Canary(replace(books.chooser, menu=menu), 1.0, ("it is tried",)))
    served, row = await shadowed(service)
    assert row.digest == plan.digest == served.digests["small"]
    assert row.degraded == ("it is tried",)


async def test_what_was_wrong_once_is_not_said_of_shadows_for_ever(observed):
    service, _ = observed
    books = service.allocator.books
    assert (await shadowed(service, "r1"))[1].degraded != ()  # there is no bundle
    books.swap(books.chooser, ())
    assert (await shadowed(service, "r2"))[1].degraded == ()
