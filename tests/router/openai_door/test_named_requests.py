"""A request that has a name is worked off once: joined, replayed, refused for another body."""

from __future__ import annotations

import asyncio
import json

import openai
import pytest


async def until_running(house, count: int) -> None:
    async with asyncio.timeout(5):
        while house.admission.queries < count:  # noqa: ASYNC110 (the door only counts)
            await asyncio.sleep(0.005)


def named(request_id: str) -> dict[str, object]:
    return {"extra_headers": {"idempotency-key": request_id}}


async def text_of(stream) -> str:
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


async def test_a_finished_request_is_answered_again_without_work(house):
    first = await house.ask("story", **named("a"))
    again = await house.ask("story", **named("a"))
    assert first == again
    assert len(await house.rows()) == 1


async def test_a_proxys_name_for_several_requests_joins_nothing(house):
    first = await house.ask("story", extra_headers={"x-request-id": "a"})
    other = await house.ask("small", extra_headers={"x-request-id": "a"})
    assert first.id != other.id


async def test_the_bodys_own_name_comes_first(house):
    reply = await house.ask("story", extra_body={"router": {"request_id": "body"}}, **named("header"))
    assert reply.model_extra["router"]["request_id"] == "body"


@pytest.mark.parametrize("name", ["x" * 129, "\u00fc"])
async def test_a_name_that_is_none_is_refused(house, name: str):
    response = await house.post(headers={"idempotency-key": name})
    assert (response.status, (await response.json())["error"]["param"]) == (400, "idempotency-key")


async def test_requests_without_a_name_are_worked_off_one_by_one(house):
    first, second = await house.ask(), await house.ask()
    assert first.id != second.id


async def test_a_second_request_under_the_same_name_joins_the_first(house):
    first = asyncio.create_task(house.ask("gated", **named("a")))
    await house.gated.entered.acquire()
    second = asyncio.create_task(house.ask("gated", **named("a")))
    await until_running(house, 2)
    house.gated.gate.set()
    assert await first == await second
    assert len(house.gated.calls) == 1


async def test_one_who_joins_takes_over_from_one_who_leaves(house):
    first = asyncio.create_task(house.ask("gated", **named("a")))
    await house.gated.entered.acquire()
    second = asyncio.create_task(house.ask("gated", **named("a")))
    await until_running(house, 2)
    first.cancel()
    await asyncio.wait_for(house.gated.entered.acquire(), 5)
    house.gated.gate.set()
    assert (await second).choices[0].message.content == "alpha beta"
    assert len(house.gated.calls) == 2


async def test_the_same_name_with_another_body_is_refused_and_not_worth_trying_again(house):
    await house.ask("story", **named("a"))
    with pytest.raises(openai.ConflictError, match="'a' was used with another body") as caught:
        await house.ask("story", "another", **named("a"))
    assert caught.value.response.headers["x-should-retry"] == "false"


async def test_tenants_do_not_share_names(house):
    one = await house.ask("story", extra_body={"router": {"tenant": "acme"}}, **named("a"))
    two = await house.ask("story", extra_body={"router": {"tenant": "umbrella"}}, **named("a"))
    assert one.id != two.id


async def test_a_failed_request_may_be_tried_again_under_its_name(house):
    for _ in range(2):
        with pytest.raises(openai.InternalServerError):
            await house.ask("broken", **named("a"))
    assert len(await house.rows()) == 2


async def test_a_finished_stream_is_told_again_whole(house):
    first = await house.post({**STREAM, "model": "vote"}, {"idempotency-key": "a"})
    again = await house.post({**STREAM, "model": "vote"}, {"idempotency-key": "a"})
    one, two = ends(await first.read()), ends(await again.read())
    assert one == two
    assert first.headers["x-apportion-decision-id"] == again.headers["x-apportion-decision-id"]
    assert len(await house.rows()) == 1


async def test_a_stream_that_joins_a_running_one_gets_its_text(house):
    async def listen() -> str:
        return await text_of(await house.ask("gated", stream=True, **named("a")))

    first = asyncio.create_task(listen())
    await house.gated.entered.acquire()
    second = asyncio.create_task(listen())
    await until_running(house, 2)
    house.gated.gate.set()
    assert (await first, await second) == ("alpha beta", "alpha beta")
    assert len(house.gated.calls) == 1


STREAM = {
    "stream": True,
    "stream_options": {"include_usage": True},
    "messages": [{"role": "user", "content": "2 + 2?"}],
}


def ends(body: bytes) -> tuple[str, object, object]:
    """Text, what was decided, and usage of a stream."""
    chunks = [json.loads(piece.removeprefix("data: ")) for piece in body.decode().split("\n\n")[:-2]]
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks[:-1])
    return text, chunks[-2]["router"], chunks[-1]["usage"]
