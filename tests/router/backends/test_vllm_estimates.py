"""Servers that do not say what each sample took: what is guessed never makes one longer than it may be."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from predictors.observation import Sampling


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Any]]:
    """`await serve(pieces, usage)`: the url of a server that streams these (choice, text) and one total."""
    servers: list[TestServer] = []

    async def start(pieces: list[tuple[int, str]], total: int) -> str:
        async def handle(request: web.Request) -> web.StreamResponse:
            reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await reply.prepare(request)
            last = {choice: place for place, (choice, _) in enumerate(pieces)}
            for place, (choice, text) in enumerate(pieces):
                ends = "length" if last[choice] == place else None
                said = {"index": choice, "delta": {"content": text}, "finish_reason": ends}
                await reply.write(f"data: {json.dumps({'choices': [said]})}\n\n".encode())
            usage = {"prompt_tokens": 7, "completion_tokens": total}
            await reply.write(f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n".encode())
            await reply.write(b"data: [DONE]\n\n")
            return reply

        app = web.Application()
        app.router.add_post("/v1/chat/completions", handle)
        servers.append(TestServer(app))
        await servers[-1].start_server()
        return str(servers[-1].make_url("")).rstrip("/")

    yield start
    for server in servers:
        await server.close()


async def test_a_share_of_the_total_is_not_more_than_a_sample_may_have(serve, connect, make_call, draw):
    dense = [(1, "a"), (1, "b"), (1, "c"), (1, "d")]
    url = await serve([*dense, (0, "long words "), (0, "and "), (0, "more of them "), (0, "still")], total=8)
    call = make_call(max_samples=2, width=2, sampling=Sampling(temperature=1.0, max_tokens=4))
    drawn = await draw(connect(url), call)
    assert [(one.index, one.tokens_out) for one in drawn.samples] == [(1, 4), (0, 4)]
    assert drawn.usage.tokens_out == 8


async def test_a_total_that_no_sample_may_have_is_told_as_it_is(serve, connect, make_call, draw):
    url = await serve([(1, "a"), (0, "long words "), (0, "and more")], total=30)
    call = make_call(max_samples=2, width=2, sampling=Sampling(temperature=1.0, max_tokens=4))
    drawn = await draw(connect(url), call)
    assert drawn.samples[-1].tokens_out > 4
    assert drawn.usage.tokens_out == 30
