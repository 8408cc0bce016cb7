"""Hidden states come beside a sample, within a time-box, and nothing depends on their coming."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from predictors.observation import Message, Part, Piece, Sample
from predictors.vllm.folder import StateFolder
from predictors.vllm.state_file import States, encoded, state_path
from router.backends.hidden import HIDDEN_SOURCES, HiddenSource, Ticket, Vector
from router.backends.hidden_box import PATIENCE, REST_S, TimeBox
from router.backends.hidden_connector import Connector
from router.backends.hidden_pooling import Pooling
from router.backends.stub_process import StubProcess
from router.config import BackendConfig
from router.errors import UnknownName
from router.plugins import resolve

MESSAGES = (Message("user", (Part(text="What is 2 + 2?"),)),)
SAMPLE = Sample("0.0", "small", text="4")
STATES = States((("prompt_last", 3), ("answer_mean", 3)), 2, 5, 7, b"\x00\x3c\x00\x40\x00\x42\x00\x44")


@pytest.mark.parametrize("name", sorted(HIDDEN_SOURCES))
def test_a_source_keeps_the_contract(name: str):
    kind = resolve("source", HIDDEN_SOURCES, name)
    assert isinstance(kind("small", BackendConfig(hidden=name, hidden_at="/nowhere"), {}), HiddenSource)


# ----------------------------------------------------------------------------------------------------- the connector's


def reader(folder: Path) -> Connector:
    return Connector("small", BackendConfig(hidden="connector", hidden_at=str(folder)))


async def test_what_the_server_left_is_read_once_and_gone(tmp_path: Path):
    source = reader(tmp_path)
    ticket = source.begin(MESSAGES, "acme")
    StateFolder(tmp_path).put("acme", ticket.key, 1, encoded(STATES))
    found = await source.fetch(ticket, 1, SAMPLE)
    assert found.values.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert found.pieces == (Piece("prompt_last", 3, 2), Piece("answer_mean", 3, 2))
    assert not state_path(tmp_path, "acme", ticket.key, 1).exists()


async def test_every_request_has_a_key_of_its_own_and_no_path(tmp_path: Path):
    source = reader(tmp_path)
    keys = {source.begin(MESSAGES, "acme").key for _ in range(100)}
    assert len(keys) == 100
    assert str(tmp_path) not in str(source.begin(MESSAGES, "acme").body)


# -------------------------------------------------------------------------------------------------------- the time-box


class Played:
    """A source that does what it is told."""

    def __init__(self, does: str, values: object = (1, 1, 1)) -> None:
        self.does, self.values = does, values
        self.asked = 0

    def begin(self, messages: tuple[Message, ...], tenant: str) -> Ticket:
        return Ticket()

    async def fetch(self, ticket: Ticket, index: int, sample: Sample) -> Vector:
        self.asked += 1
        if self.does == "hang":
            await asyncio.Event().wait()
        if self.does == "refuse":
            raise ConnectionRefusedError("nobody listens")
        if self.does == "garble":
            raise ValueError("not what it should be")
        return Vector(np.array(self.values, np.float32), (Piece("answer_mean", 3, 3),))

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("does", "states"), [("give", "there"), ("hang", "late"), ("refuse", "broken"), ("garble", "broken")]
)
async def test_a_sample_goes_on_and_says_how_its_states_were_had(does: str, states: str):
    box = TimeBox("small", Played(does), limit_s=0.01)
    seen = await box.with_states(Ticket(), 0, SAMPLE)
    assert seen.states == states
    assert (seen.hidden is not None) == (states == "there")
    assert replace(seen, states="", pieces=()) == SAMPLE


@pytest.mark.parametrize("values", [(1.0, None, 1.0), (1.0, np.inf, 1.0), ((1.0, 1.0, 1.0),)])
async def test_what_is_no_vector_of_numbers_is_not_judged_by(values: object):
    seen = await TimeBox("small", Played("give", values)).with_states(Ticket(), 0, SAMPLE)
    assert (seen.states, seen.hidden) == ("broken", None)


@pytest.mark.parametrize("salted", [True, False])
async def test_tenants_share_no_prefix_cache_of_a_pooling_server_where_salted(salted: bool):
    salts = []

    async def handle(request: web.Request) -> web.Response:
        salts.append((await request.json()).get("cache_salt"))
        return web.json_response({"data": [{"embedding": [1.0]}]})

    app = web.Application()
    app.router.add_post("/v1/embeddings", handle)
    async with TestServer(app) as server:
        config = BackendConfig(hidden_at=str(server.make_url("")), tenant_cache_salt=salted)
        source = Pooling("small", config, {})
        for tenant in ("a", "b", "a", ""):
            await source.fetch(source.begin(MESSAGES, tenant), 0, SAMPLE)
        await source.close()
    assert (salts[0] == salts[2], len(set(salts)), salts[3]) == (True, 3 if salted else 1, None)


@pytest.mark.parametrize("said", ["[[null]]", "[1" + 400 * "0" + "]", 9000 * "[" + 9000 * "]"])
async def test_whatever_a_pooling_server_says_the_sample_goes_on(said: str):
    async def handle(request: web.Request) -> web.Response:
        return web.Response(text=f'{{"data": [{{"embedding": {said}}}]}}', content_type="application/json")

    app = web.Application()
    app.router.add_post("/v1/embeddings", handle)
    async with TestServer(app) as server:
        source = Pooling("small", BackendConfig(hidden="pooling", hidden_at=str(server.make_url(""))), {})
        box = TimeBox("small", source, limit_s=5.0)
        seen = await box.with_states(box.begin(MESSAGES, "acme"), 0, SAMPLE)
        await box.close()
    assert (seen.states, seen.hidden) == ("broken", None)


async def test_a_source_that_keeps_failing_is_not_waited_for_until_it_has_rested():
    now = [100.0]
    source = Played("refuse")
    box = TimeBox("small", source, clock=lambda: now[0])
    seen = [(await box.with_states(Ticket(), 0, SAMPLE)).states for _ in range(PATIENCE + 3)]
    assert seen == ["broken"] * PATIENCE + ["resting"] * 3
    source.does = "give"
    now[0] += REST_S
    assert (await box.with_states(Ticket(), 0, SAMPLE)).states == "there"
    assert source.asked == PATIENCE + 1


async def test_one_that_fails_now_and_then_is_always_waited_for():
    source = Played("give")
    box = TimeBox("small", source, limit_s=0.01)
    for turn in range(4 * PATIENCE):
        source.does = "give" if turn % PATIENCE == 0 else "refuse"
        assert (await box.with_states(Ticket(), 0, SAMPLE)).states != "resting"


# --------------------------------------------------------------------------------------------------------- the backend


async def test_a_backends_samples_carry_their_states_alone_and_together(tmp_path, connect, make_call, draw):
    with StubProcess("--states", str(tmp_path)) as stub:
        backend = connect(stub.url, hidden="connector", hidden_at=str(tmp_path))
        for call in (make_call(), make_call(max_samples=3, width=3), make_call(max_samples=3, width=1)):
            samples = (await draw(backend, call)).samples
            assert {sample.states for sample in samples} == {"there"}
            assert {sample.hidden.shape for sample in samples} == {(16,)}
            by_text = {sample.text: sample.hidden.tobytes() for sample in samples}
            assert len(set(by_text.values())) == len(by_text)  # each has its own
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


async def test_when_the_states_stop_coming_the_samples_do_not(tmp_path, connect, make_call, draw):
    folder = tmp_path / "states"
    with StubProcess("--states", str(folder)) as stub:
        backend = connect(stub.url, hidden="connector", hidden_at=str(folder))
        assert (await draw(backend, make_call())).samples[0].states == "there"
        shutil.rmtree(folder)
        folder.write_text("a file where the folder was")  # nothing can be left there any more
        states = [(await draw(backend, make_call())).samples[0].states for _ in range(PATIENCE + 1)]
        assert states == ["late"] * PATIENCE + ["resting"]


async def test_a_caller_cannot_name_where_states_go(tmp_path, connect, make_call, draw):
    with StubProcess() as stub:
        backend = connect(stub.url, extra_allowed=("kv_transfer_params",))
        asked = {"kv_transfer_params": {"hidden_states_path": "/etc/passwd"}}
        await draw(backend, make_call(query={"extra": asked}))
        assert "kv_transfer_params" not in stub.requests()[-1]["body"]


async def test_a_pooling_server_that_is_not_there_costs_the_states_and_nothing_else(
    stub, connect, make_call, draw
):
    with StubProcess() as gone:
        dead = gone.url
    backend = connect(stub.url, hidden="pooling", hidden_at=dead)
    (sample,) = (await draw(backend, make_call())).samples
    assert (sample.states, sample.hidden, bool(sample.text)) == ("broken", None, True)


def test_a_source_that_nobody_knows_is_named_with_the_choices(connect):
    with pytest.raises(UnknownName, match="connector, pooling"):
        connect("http://127.0.0.1:1", hidden="telepathy")
