"""Requests that are sent on as they are: where they go, what they carry, when they give up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from router.admission.tenant_limits import TenantLimits
from router.backends.forwarder import Forwarder, usage_in
from router.checks.queries import DEFAULT_TENANT
from router.config import BackendConfig
from router.config_access import LimitsConfig
from router.domain.backend_state import BackendState
from router.domain.usage import Usage
from router.errors import BackendTimeout, BackendUnavailable
from router.ledger import Amount, Reservation
from router.openai_door.forwarding import Forwarding, as_named
from router.openai_door.whole_body import BODIES, Bodies

NOWHERE = "http://127.0.0.1:9"  # nobody listens at the port of "discard"


@pytest.fixture
async def mirror() -> AsyncIterator[str]:
    """A server that says what it was asked, and one path where it falls silent after a word."""

    async def say(request: web.Request) -> web.Response:
        body = (await request.read()).decode()
        return web.json_response(
            {"asked": [request.method, request.path_qs, request.headers.get("X-Own"), body]}
        )

    async def stall(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one")
        await asyncio.Event().wait()
        return response

    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 100_000)

    app = web.Application()
    app[BODIES] = Bodies(1_000_000)
    app.add_routes([web.get("/stall", stall), web.get("/flood", flood), web.route("*", "/{path:.*}", say)])
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def forwarders() -> AsyncIterator[list[Forwarder]]:
    """What is put in is closed."""
    made: list[Forwarder] = []
    yield made
    for one in made:
        await one.close()


def forwarder(made: list[Forwarder], *urls: str, timeout_s: float = 20.0) -> Forwarder:
    made.append(Forwarder("small", BackendConfig(urls=urls, model="the/model", timeout_s=timeout_s)))
    return made[-1]


async def test_method_path_query_and_body_arrive_and_no_header_of_the_callers(mirror, forwarders):
    async with forwarder(forwarders, mirror).send("POST", "/v1/x?a=1&b=2", "text/plain", b"hi") as reply:
        body = b"".join([piece async for piece in reply.pieces()])
    assert (reply.status, body) == (200, b'{"asked": ["POST", "/v1/x?a=1&b=2", null, "hi"]}')


async def test_the_next_url_is_asked_where_one_cannot_be_reached(mirror, forwarders):
    async with forwarder(forwarders, NOWHERE, mirror).send("GET", "/v1/x", "", b"") as reply:
        assert reply.status == 200


async def test_where_nobody_can_be_reached_it_says_so(forwarders):
    with pytest.raises(BackendUnavailable, match=r"small at http://127\.0\.0\.1:9"):
        async with forwarder(forwarders, NOWHERE).send("GET", "/v1/x", "", b""):
            pass


async def test_a_server_that_falls_silent_is_left(mirror, forwarders):
    with pytest.raises(BackendTimeout, match="more of the reply"):
        async with forwarder(forwarders, mirror, timeout_s=0.2).send("GET", "/stall", "", b"") as reply:
            assert [piece async for piece in reply.pieces()] == [b"never"]


@pytest.mark.parametrize("said", ["small", "backend/small", "auto", ""])
def test_the_backends_name_becomes_its_models(said: str):
    one = Forwarder("small", BackendConfig(model="the/model"))
    assert (
        as_named(b'{"model": "%s", "input": "x"}' % said.encode(), one)
        == b'{"model":"the/model","input":"x"}'
    )


@pytest.mark.parametrize(
    "body", [b'{"model": "its own", "input": "x"}', b"--form--", b"[1]", b'{"model": 3}', b""]
)
def test_what_names_another_model_or_is_no_json_stays_as_it_is(body: bytes):
    assert as_named(body, Forwarder("small", BackendConfig(model="the/model"))) == body


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        (b'{"usage": {"prompt_tokens": 7, "total_tokens": 7}}', Usage(7, samples=1)),
        (b'{"usage": {"prompt_tokens": 7, "completion_tokens": 2}}', Usage(7, tokens_out=2, samples=1)),
        (b'{"usage": {}}', None),
        (b"{}", None),
        (b"no json", None),
    ],
)
def test_what_a_reply_says_that_it_used(body: bytes, usage: Usage | None):
    assert usage_in(body) == usage


async def test_a_caller_who_reads_nothing_of_what_is_sent_on_gives_its_place_back(
    house, mirror, forwarders, monkeypatch
):
    monkeypatch.setattr("router.connections.slow_reader.UNREAD_S", 0.1)
    limits = TenantLimits(LimitsConfig())
    books, paths = house.service.allocator.books, {"/flood": forwarder(forwarders, mirror)}
    app = web.Application()
    app[BODIES] = Bodies(1_000_000)
    app.add_routes([web.get("/flood", Forwarding(paths, books, house.admission, limits, lambda: "1").handle)])
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    reader, writer = await asyncio.open_connection(*runner.addresses[0], limit=1000)
    writer.write(b"GET /flood HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(10.0):
        await reader.readline()
        assert house.admission.calls == 1
        await house.admission.drain(10.0)
    assert house.admission.calls == 0
    writer.close()
    await runner.cleanup()


async def test_what_is_sent_on_for_callers_who_name_no_tenant_is_paid_by_the_same_as_their_queries(
    house, mirror, forwarders, monkeypatch
):
    books, limits, paid_by = house.service.allocator.books, TenantLimits(LimitsConfig()), []
    obtain = books.ledger.obtain

    async def seen(request_id: str, amount: Amount, tenant: str = "") -> Reservation:
        paid_by.append(tenant)
        reservation: Reservation = await obtain(request_id, amount, tenant)
        return reservation

    monkeypatch.setattr(books.ledger, "obtain", seen)
    app = web.Application()
    app[BODIES] = Bodies(1_000_000)
    paths = {"/v1/x": forwarder(forwarders, mirror)}
    app.add_routes([web.post("/v1/x", Forwarding(paths, books, house.admission, limits, lambda: "1").handle)])
    async with TestClient(TestServer(app)) as client:
        assert (await client.post("/v1/x", data=b"hi")).status == 200
    assert (await house.post()).status == 200
    assert paid_by == [DEFAULT_TENANT, DEFAULT_TENANT]


@pytest.mark.parametrize("state", [BackendState.DRAIN, BackendState.DISABLE])
async def test_nothing_is_sent_on_to_a_backend_that_is_out_of_service(house, mirror, forwarders, state):
    books, limits = house.service.allocator.books, TenantLimits(LimitsConfig())
    forwarding = Forwarding(
        {"/v1/x": forwarder(forwarders, mirror)}, books, house.admission, limits, lambda: "1"
    )

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await forwarding.handle(request)
        except BackendUnavailable as error:
            return web.Response(status=503, text=str(error))

    app = web.Application()
    app[BODIES] = Bodies(1_000_000)
    app.add_routes([web.post("/v1/x", handle)])
    async with TestClient(TestServer(app)) as client:
        assert (await client.post("/v1/x", data=b"hi")).status == 200
        books.chooser.feasibility.switch.set("small", state)
        refused = await client.post("/v1/x", data=b"hi")
        assert (refused.status, "backend 'small' is d" in await refused.text()) == (503, True)
    assert books.ledger.balance().reserved == 0
