"""Real vLLM on the CPU with our connector: the states are the model's, and nothing that happens to them hurts it."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from predictors.vllm.asked import ask_params
from predictors.vllm.state_file import States, state_path, take_states
from training.vllm_cpu.counters import wait_for
from training.vllm_cpu.server import ServerOptions, VllmServer
from training.workload.generate import workload

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(2400)]
LAYERS = {"hidden": (1, 15, 30), "values": (0, 15, 29)}  # of 30: first, middle, last
PARTS = ("prompt_last", "prompt_mean", "answer_last", "answer_mean")
MAX_AGE_S = 4.0


@dataclass(frozen=True)
class Running:
    """The server and the folder that it leaves states in."""

    server: VllmServer
    folder: Path
    kind: str  # hidden | values

    def body(self, text: str, key: str, **options: Any) -> dict[str, Any]:
        asked = {
            "messages": [{"role": "user", "content": text}],
            "kv_transfer_params": ask_params(key, "acme"),
        }
        return {"model": self.server.model, "max_tokens": 24, "temperature": 0.0, **asked, **options}

    async def ask(self, session: aiohttp.ClientSession, body: dict[str, Any]) -> dict[str, Any]:
        async with session.post(f"{self.server.url}/v1/chat/completions", json=body) as response:
            assert response.status == 200, await response.text()
            found: dict[str, Any] = await response.json()
            return found

    def states(self, key: str, index: int = 0, within_s: float = 20.0) -> States | None:
        """The states as soon as they are there, or None after so long."""
        path, ends = state_path(self.folder, "acme", key, index), time.monotonic() + within_s
        while (found := take_states(path)) is None and time.monotonic() < ends:
            time.sleep(0.002)
        return found

    def files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]

    def files_after(self, within_s: float) -> list[Path]:
        """What is left once nothing more goes, or after so long."""
        ends = time.monotonic() + within_s
        while self.files() and time.monotonic() < ends:
            time.sleep(0.1)
        return self.files()


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Running]]:
    """One of each kind, coming up side by side."""
    with ExitStack() as ends:
        found = {}
        for kind, layers in LAYERS.items():
            folder = Path(f"/dev/shm/apportion-test-{secrets.token_hex(4)}")
            ends.callback(shutil.rmtree, folder, ignore_errors=True)
            states = {"folder": str(folder), "parts": PARTS, "max_age_s": MAX_AGE_S, "max_mb": 0.3}
            if kind == "values":
                states["states"] = kind
            options = ServerOptions(
                start_s=900,
                threads=2,
                kv_cache_gib=1,
                block_tokens=32,
                dtype="float32",
                layers=layers,
                states=states,
            )
            server = VllmServer("small", options)
            ends.callback(server.stop)
            server.launch()
            found[kind] = Running(server, folder, kind)
        for one in found.values():
            one.server.wait_until_ready()
        yield found


@pytest.fixture(scope="module", params=list(LAYERS))
def running(servers: dict[str, Running], request: pytest.FixtureRequest) -> Running:
    return servers[request.param]


@dataclass(frozen=True)
class Answered:
    """One greedy answer: its tokens, its states and what transformers says of the same tokens."""

    ids: list[int]
    states: States
    reference: dict[str, Any]
    kind: str

    def vector(self, part: str, place: int) -> np.ndarray[Any, Any]:
        """At the first, middle or last layer: `place` 0, 1 or 2."""
        values = np.frombuffer(self.states.values, "<f2").astype(np.float64).reshape(-1, self.states.width)
        name = part if self.kind == "hidden" else f"value_{part}"
        return np.asarray(values[self.states.pieces.index((name, LAYERS[self.kind][place]))])

    def expected(self, part: str, place: int) -> np.ndarray[Any, Any]:
        return np.array(self.reference[f"{part}@{LAYERS[self.kind][place]}"])


@pytest.fixture(scope="module")
def answered(running: Running) -> list[Answered]:
    """20 questions, eight at once."""
    questions = [question.query for question in workload(1)[:20]]

    async def all_of_them() -> list[tuple[dict[str, Any], States]]:
        gate = asyncio.Semaphore(8)
        async with aiohttp.ClientSession() as session:

            async def one(text: str) -> tuple[dict[str, Any], States]:
                key = secrets.token_hex(16)
                async with gate:
                    reply = await running.ask(session, running.body(text, key, return_token_ids=True))
                found = await asyncio.to_thread(running.states, key)
                assert found is not None
                return reply, found

            return await asyncio.gather(*(one(text) for text in questions))

    drawn = asyncio.run(all_of_them())
    asked = [
        {
            "prompt": reply["prompt_token_ids"],
            "answer": reply["choices"][0]["token_ids"][:-1],
            "states": running.kind,
            "layers": LAYERS[running.kind],
        }
        for reply, _ in drawn
    ]
    where = running.server.where
    done = subprocess.run(
        [
            str(where.python),
            str(Path(__file__).with_name("reference_states.py")),
            str(where.model(running.server.model)),
        ],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
    )
    references = json.loads(done.stdout)
    return [
        Answered(reply["choices"][0]["token_ids"], states, reference, running.kind)
        for (reply, states), reference in zip(drawn, references, strict=True)
    ]


def cosine(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_state_is_what_transformers_computes_for_the_same_tokens(
    answered: list[Answered], part: str, place: int
) -> None:
    seen = [cosine(one.vector(part, place), one.expected(part, place)) for one in answered]
    assert len(seen) == 20
    assert min(seen) >= 0.999


@pytest.mark.parametrize("part", PARTS)
def test_layers_differ(answered: list[Answered], part: str) -> None:
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert max(cosine(seen.vector(part, one), seen.vector(part, other)) for seen in answered) < 0.99


def test_the_server_answers_as_it_would_without_the_connector(answered: list[Answered]) -> None:
    """Greedy tokens are transformers' own, but for near ties; a wrong layout of the cache breaks all but the first."""
    same = [
        token == best
        for one in answered
        for token, best in zip(one.ids, one.reference["next"][: len(one.ids)], strict=True)
    ]
    assert len(same) > 100
    assert np.mean(same) > 0.98


def test_a_prompt_from_the_prefix_cache_and_samples_asked_for_together_have_their_states(
    running: Running,
) -> None:
    text = (
        "Name a colour of the rainbow, then explain in two sentences why the sky has that colour or not. " * 3
    )

    async def ask(key: str, n: int) -> None:
        async with aiohttp.ClientSession() as session:
            await running.ask(session, running.body(text, key, n=n, temperature=0.9, seed=1))

    found = []
    for _ in range(2):
        key = secrets.token_hex(16)
        asyncio.run(ask(key, 3))
        found += [running.states(key, index) for index in range(3)]
    prompts = []
    for one in found:
        assert one is not None
        prompts.append(np.frombuffer(one.values, "<f2").astype(np.float64).reshape(-1, one.width)[1])
    assert min(cosine(prompts[0], other) for other in prompts[1:]) > 0.9999
    assert len({one.values for one in found[:3] if one is not None}) == 3


def test_who_does_not_ask_gets_and_leaves_nothing_and_a_path_is_ignored(
    running: Running, tmp_path: Path
) -> None:
    wish = tmp_path / "wish.safetensors"

    async def ask() -> None:
        async with aiohttp.ClientSession() as session:
            await running.ask(session, running.body("Hello", "", kv_transfer_params=None))
            await running.ask(
                session, running.body("Hello", "", kv_transfer_params={"hidden_states_path": str(wish)})
            )
            wrong = {"apportion": {"key": f"../../{tmp_path}/wish"}}
            await running.ask(session, running.body("Hello", "", kv_transfer_params=wrong))

    asyncio.run(ask())
    assert running.files_after(MAX_AGE_S + 5) == []
    assert list(tmp_path.iterdir()) == []


def burst(running: Running, many: int) -> int:
    """Ask so often, leave in the middle of every second answer, read no state; return how many answers ended."""

    async def one(session: aiohttp.ClientSession, gate: asyncio.Semaphore, number: int) -> bool:
        body = running.body(f"Count from {number} upwards.", secrets.token_hex(16), stream=True)
        body |= {"max_tokens": 24 if number % 2 else 6, "ignore_eos": True}
        async with gate, session.post(f"{running.server.url}/v1/chat/completions", json=body) as response:
            assert response.status == 200
            if number % 2:
                await response.content.readline()
                response.close()
                return False
            return b"[DONE]" in await response.read()

    async def run() -> int:
        gate = asyncio.Semaphore(32)
        async with aiohttp.ClientSession() as session:
            return sum(await asyncio.gather(*(one(session, gate, number) for number in range(many))))

    return asyncio.run(run())


def alive(running: Running) -> None:
    """It answers, with states, and nothing runs on or is held."""
    at_rest = wait_for(running.server.url, lambda seen: seen.at_rest)
    assert at_rest.at_rest

    async def ask() -> States | None:
        key = secrets.token_hex(16)
        async with aiohttp.ClientSession() as session:
            await running.ask(session, running.body("Hello", key))
        return await asyncio.to_thread(running.states, key)

    assert asyncio.run(ask()) is not None


def test_200_requests_of_which_half_are_cancelled_and_none_is_read_leave_no_file_and_the_server_alive(
    running: Running,
) -> None:
    assert burst(running, 200) == 100
    assert running.files_after(MAX_AGE_S + 20) == []
    alive(running)


def test_a_folder_that_vanishes_is_made_again(running: Running) -> None:
    shutil.rmtree(running.folder)
    alive(running)


def test_where_nothing_can_be_written_answers_go_on(running: Running) -> None:
    shutil.rmtree(running.folder)
    running.folder.write_text("a file where the folder was")
    try:
        assert burst(running, 20) == 10
    finally:
        running.folder.unlink()
    alive(running)


def test_a_full_disk_costs_states_and_nothing_else(running: Running) -> None:
    shutil.rmtree(running.folder, ignore_errors=True)
    running.folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(running.folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("THIS MACHINE LETS US MOUNT NOTHING: a full disk was not tried")
    try:
        (running.folder / "filler").write_bytes(bytes(12 * 1024))
        assert burst(running, 40) == 20
        assert wait_for(running.server.url, lambda seen: seen.at_rest).at_rest
        assert [path.name for path in running.files() if path.suffix == ".partial"] == []
    finally:
        subprocess.run(["umount", str(running.folder)], check=True)
    alive(running)
