"""A model server that fails is named to operators, in the status and in the log, and so is its coming back."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from structlog.testing import capture_logs

from router.assemble import assemble
from router.client import AdminClient, ApportionError, Client, Unavailable
from router.config import Config
from router.server import Servers


@pytest.fixture
def nobody() -> str:
    """An address where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


SECRET = "my diagnosis"


@pytest.fixture
async def gossip(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A model server that quotes what it was asked when it fails: with a status, or (200) in the stream."""

    async def answer(asked: web.Request) -> web.StreamResponse:
        said = (await asked.json())["messages"][0]["content"]
        error = {"error": {"message": f"cannot answer {said!r}", "type": "EngineError", "code": said}}
        if request.param != 200:
            return web.json_response(error, status=request.param)
        event = f"data: {msgspec.json.encode(error).decode()}\n\n"
        return web.Response(text=event, content_type="text/event-stream")

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


@asynccontextmanager
async def asked(folder: Path, url: str, **more: Any) -> AsyncIterator[tuple[Client, AdminClient]]:
    """Clients of a service whose one backend is at `url`."""
    told: dict[str, Any] = {
        "backends": {"one": {"kind": "vllm", "urls": [url], "model": "m", "price_out": 1.0}},
        "plans": [{"name": "one", "stages": [{"backend": "one"}]}],
        "store": {"sqlite": ":memory:"},
        "server": {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0"},
    }
    service = assemble(msgspec.convert(told | more, Config), base=folder)
    servers = Servers(service)
    addresses = await servers.start()
    try:
        async with Client(addresses.router, retries=0) as client, AdminClient(addresses.admin) as admin:
            yield client, admin
    finally:
        await servers.stop()
        await service.close()


@pytest.mark.parametrize("keep", ["hash", "full"])
@pytest.mark.parametrize("gossip", [400, 404, 429, 500, 200, 302], indirect=True)
async def test_a_server_that_quotes_prompts_is_quoted_to_the_caller_and_where_prompts_are_kept_alone(
    tmp_path: Path, gossip: str, keep: str
) -> None:
    store = {"sqlite": ":memory:", "keep": keep}
    with capture_logs() as lines:
        async with asked(tmp_path, gossip, store=store, log={"queries": "all"}) as (client, admin):
            with pytest.raises(ApportionError, match=SECRET):
                await client.generate(SECRET)
            (row,) = [row async for row in admin.decisions()]
            status = await admin.status()
    assert SECRET not in repr((lines, status))
    assert (SECRET in row.error) == (keep == "full")
    assert SECRET not in repr(row.decision)
    assert keep == "full" or "EngineError" in row.error


async def test_the_status_and_the_log_name_a_server_that_cannot_be_reached(
    tmp_path: Path, nobody: str
) -> None:
    with capture_logs() as lines:
        async with asked(tmp_path, nobody) as (client, admin):
            assert not [one for one in (await admin.status()).degraded if "backend" in one]
            for _ in range(2):
                with pytest.raises(Unavailable):
                    await client.generate("2 + 2?")
            (said,) = [one for one in (await admin.status()).degraded if "backend" in one]
            (backend,) = await admin.backends()
    assert said == f"backend 'one': {backend.trouble}"
    assert said.startswith("backend 'one': 1 of 1 servers failed last: one at " + nobody)
    (line,) = [line for line in lines if line["event"] == "a model server fails"]  # not one a query
    assert (line["url"], line["log_level"]) == (nobody, "warning")
