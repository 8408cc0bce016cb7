"""What `apply` would have drawn is run behind the caller's back: after the reply, on its own money, cut when draining."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from predictors.observation import Message, Part, Query
from router.assemble import Service, assemble
from router.client import Client
from router.config import Config
from router.configuration.file import load
from router.domain.decision import Decision, Keep, Mode, Status
from router.domain.events import Done
from router.domain.options import Options
from router.errors import ConfigError
from router.server import Servers
from router.shadow import AGREES, SHADOW_OF, SHADOW_RUN


def configured(
    small: tuple[str, ...] = ("answer: 4",),
    shadow: Mapping[str, Any] | None = None,
    **more: Any,
) -> Config:
    """Two scripted backends; the policy always wants `small`, the reference is `large`."""
    return msgspec.convert(
        {
            "backends": {
                "small": {"kind": "scripted", "script": small, "price_in": 1.0, "price_out": 1.0},
                "large": {
                    "kind": "scripted",
                    "script": ("The answer is 4.",),
                    "price_in": 9.0,
                    "price_out": 9.0,
                },
            },
            "plans": [
                {"name": "small", "stages": [{"backend": "small", "max_tokens": 10}]},
                {"name": "large", "stages": [{"backend": "large", "max_tokens": 10}]},
            ],
            "policy": {"kind": "fixed", "plan": "small"},
            "reference": "large",
            "mode": "observe",
            "shadow": shadow or {"share": 1.0, "dollars": 1.0},
            "store": {"sqlite": ":memory:"},
            "server": {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0"},
            **more,
        },
        Config,
    )


@pytest.fixture
async def serving(tmp_path):
    """Builds services and closes them."""
    built: list[Service] = []

    def build(*args: Any, **more: Any) -> Service:
        built.append(assemble(configured(*args, **more), base=tmp_path))
        return built[-1]

    yield build
    for service in built:
        await service.close()


def ask(request_id: str = "r1", **more: Any) -> Query:
    return Query(request_id, (Message("user", (Part(text="What is 2 + 2?"),)),), **more)


async def answered(service: Service, query: Query, options: Options | None = None) -> Done:
    """As the doors do it: take `Done` and leave."""
    events = [event async for event in service.answers.run(query, options or Options())]
    assert isinstance(events[-1], Done)
    return events[-1]


async def ended(service: Service) -> None:
    """All shadows that run now have ended."""
    assert service.shadows is not None
    async with asyncio.timeout(10):
        while service.shadows.running:
            await asyncio.gather(*service.shadows._running, return_exceptions=True)


async def shadow_rows(service: Service) -> list[Decision]:
    page = await service.store.decisions(1000)
    return [row for row in page.decisions if SHADOW_OF in row.metadata]


async def test_the_plan_that_apply_would_have_drawn_is_run_and_logged_as_a_row_of_its_own(serving):
    service = serving()
    done = await answered(service, ask())
    await ended(service)
    (row,) = await shadow_rows(service)
    assert (row.metadata[SHADOW_OF], row.plan, row.mode) == (done.decision.decision_id, "small", Mode.OBSERVE)
    assert (row.usable, row.unusable_reason, row.status) == (False, SHADOW_RUN, Status.ANSWERED)
    assert row.cost > 0


async def test_the_callers_row_is_what_it_would_be_without_a_shadow(serving):
    with_shadow, without = serving(), serving(shadow={"share": 0.0})
    assert without.shadows is None
    seen = (await answered(with_shadow, ask())).decision
    plain = (await answered(without, ask())).decision
    assert (seen.plan, seen.usage, seen.cost, seen.answer) == (
        plain.plan,
        plain.usage,
        plain.cost,
        plain.answer,
    )
    await ended(with_shadow)
    stored = await with_shadow.store.decision(seen.decision_id)
    assert stored == seen


async def test_the_shadow_starts_after_the_caller_has_its_answer(serving):
    service = serving()
    small: Any = service.backends["small"]
    events = service.answers.run(ask(), Options())
    async for event in events:
        if isinstance(event, Done):
            assert service.shadows.running == 0
            break
    assert small.calls == []
    await events.aclose()
    assert service.shadows.running == 1
    await ended(service)
    assert len(small.calls) == 1


async def test_a_caller_does_not_wait_for_a_shadow_that_never_ends(serving):
    service = serving(("!hang",))
    done = await answered(service, ask())
    assert done.answers[0].answer == "4"
    assert service.shadows.running == 1


async def test_answers_that_mean_the_same_agree(serving):
    service = serving(("answer: 4.0",))
    await answered(service, ask())
    await ended(service)
    (row,) = await shadow_rows(service)
    assert row.metadata[AGREES] == "yes"


async def test_other_answers_do_not_agree(serving):
    service = serving(("answer: 5",))
    await answered(service, ask())
    await ended(service)
    (row,) = await shadow_rows(service)
    assert row.metadata[AGREES] == "no"


async def test_agreement_is_known_where_no_text_is_kept(serving):
    service = serving()
    await answered(service, ask(), Options(keep=Keep.HASH))
    await ended(service)
    (row,) = await shadow_rows(service)
    assert (row.answer, row.query_text, row.metadata[AGREES]) == (None, None, "yes")


async def test_shadow_money_is_of_its_own(serving):
    service = serving(budget={"dollars": 1.0})
    done = await answered(service, ask())
    await ended(service)
    (row,) = await shadow_rows(service)
    assert service.ledger.balance().spent == pytest.approx(done.decision.cost, abs=1)
    assert service.shadows.ledger.balance().spent == pytest.approx(row.cost, abs=1)


async def test_without_shadow_money_left_nothing_is_run(serving):
    service = serving(shadow={"share": 1.0, "dollars": 0.00005})  # less than one worst case
    for number in range(3):
        await answered(service, ask(f"r{number}"))
        await ended(service)
    assert await shadow_rows(service) == []
    assert service.shadows.counts.over_budget == 3
    assert service.shadows.ledger.balance().spent == 0


async def test_shadow_spend_never_exceeds_its_budget(serving):
    service = serving(shadow={"share": 1.0, "dollars": 0.0003})
    for number in range(40):
        await answered(service, ask(f"r{number}"))
        await ended(service)
    rows = await shadow_rows(service)
    assert 0 < len(rows) < 40
    assert sum(row.cost for row in rows) <= 300


async def test_the_share_is_drawn_by_seed_and_request(serving):
    drawn = []
    for _ in range(2):
        service = serving(shadow={"share": 0.3, "dollars": 1.0}, seed=5)
        done = (await answered(service, ask())).decision
        drawn.append([n for n in range(1000) if service.shadows.wanted(ask(f"r{n}"), done)])
    assert drawn[0] == drawn[1]
    assert 250 < len(drawn[0]) < 350


async def test_no_more_run_at_once_than_allowed(serving):
    service = serving(("!hang",))
    for number in range(12):
        await answered(service, ask(f"r{number}"))
    assert service.shadows.running == service.shadows.at_once == 8
    assert service.shadows.counts.crowded == 4


@pytest.mark.parametrize("mode", ["apply", "bypass"])
async def test_only_observed_queries_have_shadows(serving, mode):
    service = serving(mode=mode)
    await answered(service, ask())
    await ended(service)
    assert await shadow_rows(service) == []


async def test_the_reference_itself_is_not_run_again(serving):
    service = serving(policy={"kind": "fixed", "plan": "large"})
    await answered(service, ask())
    await ended(service)
    assert await shadow_rows(service) == []


async def test_a_failed_shadow_is_logged_and_nobody_else_notices(serving):
    service = serving(("!unavailable",))
    done = await answered(service, ask())
    await ended(service)
    (row,) = await shadow_rows(service)
    assert (done.decision.status, row.status, row.plan) == (Status.ANSWERED, Status.FAILED, "small")
    assert AGREES not in row.metadata
    assert service.shadows.counts.failed == 1


async def test_shadow_rows_have_numbers_of_their_own(serving):
    service = serving()
    rows = []
    for number in range(2):
        rows.append((await answered(service, ask(f"r{number}"))).decision)
        await ended(service)
    shadows = await shadow_rows(service)
    assert [row.sequence for row in rows] == [1, 2]
    assert sorted(row.sequence for row in shadows) == [1, 2]
    assert {row.replica for row in shadows} == {f"{rows[0].replica}/shadow"}


async def test_outcomes_of_the_request_are_not_joined_to_its_shadow(serving):
    from router.domain.decision import Outcome

    service = serving()
    await answered(service, ask(session_id="s1"))
    await ended(service)
    (row,) = await shadow_rows(service)
    reports = [
        Outcome("o1", "ok", True, "bool", request_id="r1"),
        Outcome("o2", "ok", True, "bool", session_id="s1"),
    ]
    await service.store.report(reports)
    assert await service.store.outcomes(row.decision_id) == ()


async def test_a_new_bundle_is_seen_by_the_next_shadow(serving):
    from dataclasses import replace

    service = serving()
    await answered(service, ask())
    await ended(service)
    books = service.allocator.books
    books.chooser = replace(books.chooser, predictions=Versioned())
    await answered(service, ask("r2"))
    await ended(service)
    assert {row.bundle for row in await shadow_rows(service)} == {"", "newer"}


class Versioned:
    """Predictions of another version."""

    version = "newer"

    def look(self, query):
        from predictors import Look

        return Look()

    def confidence(self, seen, look):
        return {}


async def test_closing_cuts_shadows_and_logs_them(serving):
    service = serving(("!hang",))
    await answered(service, ask())
    small: Any = service.backends["small"]
    while not small.in_flight:  # noqa: ASYNC110 (the scripted backend has no event to wait for)
        await asyncio.sleep(0)
    await service.shadows.close()
    (row,) = await shadow_rows(service)
    assert (row.status, small.in_flight) == (Status.CANCELLED, set())
    assert service.shadows.ledger.balance().reserved == 0
    await answered(service, ask("r2"))
    assert service.shadows.running == 0


async def test_a_server_that_drains_cuts_its_shadows_first(serving):
    service = serving(("!hang",))
    servers = Servers(service)
    addresses = await servers.start()
    async with Client(addresses.router, timeout_s=20.0) as client:
        assert (await client.generate("What is 2 + 2?")).text == "The answer is 4."
        assert service.shadows.running == 1
    assert await servers.drain()
    assert service.shadows.running == 0
    await servers.stop()


def test_a_share_without_money_is_refused(tmp_path):
    text = """
[backends.a]
kind = "scripted"
[[plans]]
name = "a"
stages = [{ backend = "a" }]
[shadow]
share = 0.1
"""
    (tmp_path / "router.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"shadow\.dollars: share is above 0 and there is no money for it"):
        load(tmp_path / "router.toml")
