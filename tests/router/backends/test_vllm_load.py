"""The load of model servers, read over HTTP from what they say of themselves."""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.test_utils import TestServer


async def test_requests_that_run_are_seen(stub, connect, make_call, draw):
    stub.fault("hang")
    backend = connect(stub.url)
    waiting = asyncio.create_task(draw(backend, make_call(max_samples=3, width=3)))
    await asyncio.to_thread(stub.until, lambda state: state["running"] > 0)
    seen = await backend.load(20.0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert seen is not None
    assert (seen.running, seen.waiting) == (3.0, 0.0)


async def test_servers_that_answer_speak_for_those_that_do_not(stub, connect):
    found = await connect(stub.url, "http://127.0.0.1:1").load(20.0)
    assert found is not None
    assert found.running == 0.0


async def test_a_server_that_cannot_be_reached_says_nothing(connect):
    assert await connect("http://127.0.0.1:1").load(20.0) is None


async def test_a_key_that_is_missing_says_nothing(stub, connect):
    assert await connect(stub.url, api_key_env="NOT_THERE").load(20.0) is None


async def test_servers_that_know_no_metrics_or_hang_or_send_an_error_say_nothing(connect):
    async def hang(_request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def broken(_request: web.Request) -> web.Response:
        return web.Response(body=b"vllm:num_requests_running \xff 3")

    pages = web.Application()
    pages.add_routes([web.get("/hangs/metrics", hang), web.get("/broken/metrics", broken)])
    async with TestServer(pages) as server:
        for place, wait_s in (("absent", 20.0), ("broken", 20.0), ("hangs", 0.05)):
            assert await connect(str(server.make_url(f"/{place}"))).load(wait_s) is None, place
