"""The typed clients of callers who draw samples themselves, against the real service."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from router.client import (
    Client,
    Constraints,
    Drawn,
    InvalidRequest,
    More,
    NotFound,
    OutOfBudget,
    Sampling,
    SyncClient,
    TooLate,
    Unavailable,
    Used,
)

USED = Used(tokens_in=10, tokens_out=5)
MINE = {"small": ("4", "4", "5", "4"), "story": ("a fox",)}


def plan(name: str) -> dict[str, Any]:
    return {"constraints": Constraints(plan=name)}


def draws() -> dict[str, Iterator[str]]:
    return {name: iter(texts) for name, texts in MINE.items()}


def spent(house: Any) -> tuple[int, int]:
    balance = house.service.ledger.balance()
    return balance.spent, balance.reserved


async def test_one_loop_draws_sends_and_ends_with_the_answer(house):
    mine, asked = draws(), []
    async with house.client.advise("2 + 2?", **plan("cascade"), sampling=Sampling(max_tokens=9)) as advice:
        async for more in advice:
            asked.append((more.backend, more.count, more.escalates))
            assert (more.messages[-1].text, more.sampling.max_tokens) == ("2 + 2?", 9)
            for _ in range(more.count):
                await advice.send(Drawn(next(mine[more.backend]), USED))
    assert asked == [("small", 1, False), ("small", 1, False), ("story", 1, True)]
    assert advice.answer is not None
    assert (advice.answer.text, advice.stop_reason, advice.enough) == ("a fox", "exhausted", True)
    assert spent(house) == (60, 0)
    assert (await house.admin.decision(advice.decision_id)).decision.plan == "cascade"


async def test_tasks_may_draw_side_by_side(house):
    mine, most, running = draws(), 0, 0

    async def draw(advice: Any, backend: str) -> None:
        nonlocal most, running
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        text = next(mine[backend])
        running -= 1
        await advice.send(Drawn(text, USED))

    async with house.client.advise("2 + 2?", **plan("wide")) as advice, asyncio.TaskGroup() as tasks:
        async for more in advice:
            for _ in range(more.count):
                tasks.create_task(draw(advice, more.backend))
    assert most == 2
    assert advice.answer.text == "4"
    assert spent(house)[1] == 0, "all that was asked for was sent"


async def test_what_was_cut_is_sent_after_there_is_enough(house):
    async with house.client.advise("2 + 2?", **plan("wide")) as advice:
        async for _ in advice:
            await advice.send(Drawn("4", USED))
            await advice.send(Drawn("4", USED))
        assert spent(house)[0] == 0
        await advice.send(Drawn("", Used(tokens_in=10), finish_reason="cut"))
    assert spent(house) == (50, 0)


async def test_leaving_the_block_early_asks_for_the_answer_so_far(house):
    async with house.client.advise("2 + 2?", **plan("vote")) as advice:
        async for _ in advice:
            await advice.send(Drawn("4", USED))
            break
    assert (advice.answer.text, advice.stop_reason) == ("4", "exhausted")


async def test_an_error_in_the_block_cuts_the_call_and_is_not_hidden(house):
    advice = house.client.advise("2 + 2?", **plan("vote"))

    async def break_off() -> None:
        async with advice:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await break_off()
    await house.servers.admission._idle.wait()
    row = await house.service.store.decision(advice.decision_id)
    assert row.status.value == "cancelled"
    done = await house.client.report_usage(advice.decision_id, {"small": USED})
    assert (done.charged_micros, spent(house)) == (20, (20, 0))


async def test_a_growing_sample_goes_on_under_its_own_id(house):
    async with house.client.advise("2 + 2?", **plan("small")) as advice:
        async for more in advice:
            assert more.count == 1
            for length in (1, 2):
                said = Drawn(
                    "4."[:length], Used(tokens_in=10, tokens_out=length), sample_id="a", finished=False
                )
                await advice.send(said)
            await advice.send(Drawn("4.", USED, sample_id="a"))
    assert advice.answer.sample_id == "a"
    assert spent(house) == (20, 0)


async def test_a_sample_that_cannot_be_is_an_error_where_it_is_sent(house):
    async with house.client.advise("2 + 2?", **plan("vote")) as advice:
        with pytest.raises(InvalidRequest, match=r"sample\.confidence") as caught:
            await advice.send(Drawn("4", USED, confidence=2.0))
    assert caught.value.field == "sample.confidence"
    assert caught.value.decision_id == advice.decision_id


async def test_a_query_that_cannot_be_paid_for_is_an_error_at_the_door(house):
    await house.admin.set_budget(3)
    with pytest.raises(OutOfBudget):
        async with house.client.advise("2 + 2?", **plan("vote"), timeout_s=5.0):
            pytest.fail("nothing was to be drawn")
    with SyncClient(house.addresses.router) as client, pytest.raises(OutOfBudget):
        await asyncio.to_thread(client.advise("2 + 2?", **plan("vote"), timeout_s=5.0).__enter__)


async def test_a_service_that_is_not_there_is_unavailable():
    async with Client("127.0.0.1:1", timeout_s=5.0) as client:
        with pytest.raises(Unavailable):
            async with client.advise("2 + 2?"):
                pytest.fail("nobody is there")


async def test_a_deadline_without_a_sample_is_too_late(house):
    async with house.client.advise("2 + 2?", **plan("vote"), timeout_s=0.5) as advice:
        await anext(advice)
        with pytest.raises(TooLate):
            await anext(advice)


async def test_the_usage_of_a_decision_is_reported_and_the_rest_goes_back(house):
    decided = await house.client.decide("2 + 2?", **plan("small"))
    reserved = spent(house)[1]
    used = {"small": Used(tokens_in=10, tokens_out=5, samples=1)}
    assert (await house.client.report_usage(decided.decision_id, used, final=False)).charged_micros == 20
    assert spent(house) == (0, reserved)
    done = await house.client.report_usage(decided.decision_id, used)
    assert (done.charged_micros, done.returned_micros) == (20, reserved - 20)
    with pytest.raises(NotFound, match="at replica"):
        await house.client.report_usage("another", used)


def drawn_by_one_thread(target: str) -> tuple[Any, list[More]]:
    mine, asked = draws(), []
    with SyncClient(target) as client:
        with client.advise("2 + 2?", **plan("wide")) as advice:
            for more in advice:
                asked.append(more)
                for _ in range(more.count):
                    if advice.enough:
                        advice.send(Drawn("", Used(tokens_in=10), finish_reason="cut"))
                    else:
                        advice.send(Drawn(next(mine[more.backend]), USED))
            client.report_usage(advice.decision_id, {"small": Used(tokens_in=30, tokens_out=10)})
        decided = client.decide("2 + 2?", **plan("small"))
        client.report_usage(decided.decision_id, {"small": Used(tokens_in=1)})
    return advice, asked


async def test_one_thread_does_the_same_without_asyncio(house):
    advice, asked = await asyncio.to_thread(drawn_by_one_thread, house.addresses.router)
    assert [(more.backend, more.count) for more in asked] == [("small", 2)]
    assert (advice.answer.text, advice.stop_reason) == ("4", "enough: agreement")
    assert spent(house) == (51, 0)


def a_thread_that_sends_nonsense(target: str) -> None:
    with SyncClient(target) as client, client.advise("2 + 2?", **plan("vote")) as advice:
        for _ in advice:
            advice.send(Drawn("4", USED, backend="nobody"))


async def test_errors_are_the_same_without_asyncio(house):
    with pytest.raises(InvalidRequest, match="'nobody' is waited for"):
        await asyncio.to_thread(a_thread_that_sends_nonsense, house.addresses.router)
