"""Callers who leave, a house that is full, a door that closes, addresses and names that cannot be had."""

from __future__ import annotations

import asyncio
import contextlib
import json

import openai
import pytest
from structlog.testing import capture_logs

from predictors.observation import Constraints, Preferences
from router.checks.queries import Known
from router.config import ServerConfig
from router.domain.plan import Plan, Stage
from router.errors import ConfigError, UnknownName
from router.openai_door.door import Behind, Door, Entrance
from router.openai_door.models import Models
from router.openai_door.whole_body import FREE_BYTES
from router.reports import Reports
from router.selectors.first import First
from router.stopping.never import Never


async def test_a_caller_who_leaves_frees_the_backend(house):
    asked = asyncio.create_task(house.ask("gated"))
    await house.gated.entered.acquire()
    asked.cancel()
    await asyncio.wait_for(house.gated.left.acquire(), 5)
    with contextlib.suppress(asyncio.CancelledError):
        await asked
    assert house.admission.queries == 0


async def test_a_caller_who_leaves_in_the_middle_of_a_stream_frees_the_backend(house):
    stream = await house.ask("gated", stream=True)
    await anext(stream)
    await stream.close()
    await asyncio.wait_for(house.gated.left.acquire(), 5)


async def test_a_request_that_was_left_is_logged_as_cancelled(house):
    stream = await house.ask("gated", stream=True)
    await anext(stream)
    await stream.close()
    await asyncio.wait_for(house.gated.left.acquire(), 5)
    async with asyncio.timeout(5):
        while not (rows := await house.rows()):  # noqa: ASYNC110 (nobody is told when a row is logged)
            await asyncio.sleep(0.005)
    assert rows[0].status.value == "cancelled"


@pytest.mark.parametrize("server_settings", [{"max_queries": 1}])
async def test_more_queries_than_may_run_are_shed_with_a_time_to_come_back(house):
    running = asyncio.create_task(house.ask("gated"))
    await house.gated.entered.acquire()
    response = await house.post()
    told = (await response.json())["error"]
    assert (response.status, response.headers["Retry-After"]) == (429, "1")
    assert (told["type"], told["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    assert "x-should-retry" not in response.headers
    house.gated.gate.set()
    await running


@pytest.mark.parametrize("server_settings", [{"max_queries": 10}])
async def test_the_last_tenth_of_the_places_is_for_urgent_queries_of_this_door_as_well(house):
    with contextlib.ExitStack() as others:
        for _ in range(9):
            others.enter_context(house.admission.enter(query=True))
        refused = [await house.post(), await house.post(router={"priority": 0}), await house.post("no JSON")]
        let_in = await house.post(router={"priority": 1})
    assert [response.status for response in refused] == [429, 429, 429]
    assert let_in.status == 200


async def test_a_draining_door_answers_who_runs_and_refuses_the_others(house):
    running = asyncio.create_task(house.ask("gated"))
    await house.gated.entered.acquire()
    assert (await house.http.get(f"{house.url}/health")).status == 200
    house.admission.draining = True
    response = await house.post()
    assert (response.status, response.headers["Retry-After"]) == (503, "1")
    assert (await response.json())["error"]["code"] == "draining"
    assert (await house.http.get(f"{house.url}/health")).status == 503
    house.gated.gate.set()
    assert (await running).choices[0].message.content == "alpha beta"


async def test_going_away_takes_no_new_connections_and_ends_the_old_ones_in_peace(house):
    running = asyncio.create_task(house.ask("gated"))
    await house.gated.entered.acquire()
    await house.door.go_away()
    with pytest.raises(OSError, match="onnect"):
        await asyncio.open_connection(*house.url.removeprefix("http://").split(":"))
    house.gated.gate.set()
    assert (await running).choices[0].message.content == "alpha beta"


async def test_closing_cuts_what_still_runs(house):
    running = asyncio.create_task(house.ask("gated"))
    await house.gated.entered.acquire()
    await house.door.stop()
    await asyncio.wait_for(house.gated.left.acquire(), 5)
    with pytest.raises(openai.APIConnectionError):
        await running


@pytest.mark.parametrize(
    ("address", "piece"),
    [
        ("0.0.0.0:0", "can be reached from other machines"),
        ("nowhere", "HOST:PORT"),
        ("http://127.0.0.1:1", "without a scheme"),
        ("{taken}", "is another server running there"),
    ],
)
async def test_an_address_that_cannot_be_had_is_refused(house, address: str, piece: str):
    taken = house.url.removeprefix("http://")
    config = ServerConfig(http_listen=address.format(taken=taken))
    reports = Reports(house.service.store)
    known = Known(frozenset(), frozenset())
    behind = Behind(house.service.allocator, (), known, reports, new_id=str)
    door = Door(config, behind, Entrance(house.admission))
    with pytest.raises(ConfigError, match=piece):
        await door.start()


def plan(name: str, *backends: str) -> Plan:
    return Plan(name, tuple(Stage(backend, Never(), First()) for backend in backends))


def test_names_that_clients_say_already_stand_for_names_of_ours():
    models = Models.of([plan("small", "s")], {"Qwen/Big": "auto:risk=0.05", "*": "small"})
    assert models.names[-1] == "Qwen/Big"
    assert models.known("gpt-4o")
    assert models.wanted("Qwen/Big", Constraints(), Preferences())[0].max_risk == 0.05
    assert models.wanted("gpt-4o", Constraints(), Preferences())[0].plan == "small"
    assert models.wanted("auto", Constraints(), Preferences())[0].plan == ""
    with pytest.raises(UnknownName, match="unknown model 'gpt-4o'"):
        Models.of([plan("small", "s")], {"Qwen/Big": "auto"}).wanted("gpt-4o", Constraints(), Preferences())


@pytest.mark.parametrize(
    ("alias", "name", "says"),
    [
        ("Qwen/Big", "smal", "unknown model 'smal'"),
        ("Qwen/Big", "auto:risk=x", "'risk=x' is no wish"),
        ("small", "auto", "'small' stands for a choice of ours already"),
        ("auto:x", "auto", "stands for a choice of ours already"),
        (" ", "auto", "or for nothing"),
    ],
)
def test_an_alias_must_not_hide_a_name_and_must_stand_for_one(alias: str, name: str, says: str):
    with pytest.raises(ConfigError, match=rf"server\.models: .*{says}"):
        Models.of([plan("small", "s")], {alias: name})


def test_a_plan_must_not_be_called_like_another_choice():
    with pytest.raises(ConfigError, match=r"'auto' is a model's name of the OpenAI door"):
        Models.of([plan("auto", "s")])
    with pytest.raises(ConfigError, match="'auto:cost=9'"):
        Models.of([plan("auto:cost=9", "s")])
    with pytest.raises(ConfigError, match="'backend/s'"):
        Models.of([plan("backend/s", "s")])
    assert Models.of([plan("backend/s", "s", "l")]).plans == ("backend/s",)


@pytest.mark.parametrize(
    "start", ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\r\n", "POST / HTTP/9.9\r\n"]
)
async def test_what_is_not_http_is_a_line_in_the_log_without_what_was_sent(house, capfd, start):
    """A gRPC client that was given this port, or a broken one; aiohttp's own words quote the request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(house.url.rpartition(":")[2]))
    with capture_logs() as lines:
        writer.write(f"{start}Authorization\x00: Bearer my-secret\r\n\r\n".encode())
        await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert [(line["event"], line["status"]) for line in lines] == [("a request is not HTTP/1.1", 400)]
    assert "my-secret" not in repr(lines) and capfd.readouterr().err == ""


@pytest.mark.parametrize("server_settings", [{"max_message_bytes": 200_000, "max_bodies_bytes": 300_000}])
async def test_large_bodies_that_arrive_together_are_held_within_a_bound(house):
    """Clients that send a body and keep its last byte take memory before they take a place."""
    chat = {"model": "story", "messages": [{"role": "user", "content": "a" * 190_000}]}
    body = json.dumps(chat).encode()
    host, port = house.url.removeprefix("http://").split(":")
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    held = [await asyncio.open_connection(host, int(port)) for _ in range(2)]
    async with asyncio.timeout(10.0):
        for _, writer in held:
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:-1])
        while house.door.bodies.held_bytes < 2 * (len(body) - 1 - FREE_BYTES):  # noqa: ASYNC110 (nobody is told)
            await asyncio.sleep(0.001)
        refused = await house.post(chat)
        assert (refused.status, refused.headers["Retry-After"]) == (429, "2")
        assert "no room for so large a body" in await refused.text()
        assert (await house.post()).status == 200  # a small one needs no room
        assert house.door.bodies.held_bytes <= 300_000
        held[0][1].write(body[-1:])
        assert (await held[0][0].readline()).startswith(b"HTTP/1.1 200 ")
        assert (await house.post(chat)).status == 200
        held[1][1].close()  # who leaves gives it back
        while house.door.bodies.held_bytes:  # noqa: ASYNC110 (nobody is told)
            await asyncio.sleep(0.001)
    held[0][1].close()


async def test_a_body_that_does_not_come_is_not_waited_for_without_end(house, monkeypatch):
    monkeypatch.setattr("router.openai_door.whole_body.BODY_S", 0.1)
    host, port = house.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: 1000\r\n\r\n{{".encode())
    async with asyncio.timeout(5.0):
        told = await reader.readuntil(b"did not come within 0.1 s")
    assert told.startswith(b"HTTP/1.1 408 ")
    writer.close()
