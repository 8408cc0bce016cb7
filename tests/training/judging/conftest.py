"""Judges of every character behind a server, and a recording for them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from router.verifiers import Case
from router.verifiers.judge import Judge
from training.judging.asking import judge_backend
from training.judging.cache import JudgeCache
from training.judging.labels import Judged, judge_all

REAL = [f"Question {number}?" for number in range(40)]


def reference_to(query: str) -> str:
    return f"The answer to {query} is well known."


def honest(query: str, first: str, second: str) -> str:
    """Prefers what names the question, and of two that do what says so in capitals."""
    worth = [(query in text) + ("BEST" in text) for text in (first, second)]
    return "TIE" if worth[0] == worth[1] else "FIRST" if worth[0] > worth[1] else "SECOND"


def always_first(query: str, first: str, second: str) -> str:
    return "FIRST"


def longest(query: str, first: str, second: str) -> str:
    return "FIRST" if len(first) > len(second) else "SECOND"


def shortest(query: str, first: str, second: str) -> str:
    return "FIRST" if len(first) < len(second) else "SECOND"


def coin(query: str, first: str, second: str) -> str:
    return "FIRST" if hashlib.sha256(f"{query}/{first}/{second}".encode()).digest()[0] % 2 else "SECOND"


def mumbles(query: str, first: str, second: str) -> str:
    return "Well, both have their merits."


class Bench:
    """Judges behind the OpenAI protocol, in a thread of their own: the model's name says which one."""

    JUDGES = (honest, always_first, longest, shortest, coin, mumbles)

    def __init__(self) -> None:
        self.judges = {judge.__name__: judge for judge in self.JUDGES}
        self.bodies: list[dict[str, Any]] = []
        self.statuses: list[int] = []  # of the next replies, before there is a verdict
        self.most_at_once = self.at_once = 0
        self.refuses = "never said"
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._runner.cleanup())
        self._loop.close()

    def _run(self):
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._reply)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        self._loop.run_until_complete(self._runner.setup())
        self._loop.run_until_complete(web.TCPSite(self._runner, "127.0.0.1", 0).start())
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self._ready.set()
        self._loop.run_forever()

    async def _reply(self, request):
        body = await request.json()
        self.bodies.append(body)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.002)
        self.at_once -= 1
        if self.statuses:
            return web.Response(status=self.statuses.pop(0), text="{}")
        asked = body["messages"][-1]["content"]
        if self.refuses in asked:
            return web.json_response({"error": {"message": "too long", "code": 400}}, status=400)
        parts = asked.split(f"{asked.splitlines()[1]}\n")
        word = self.judges[body["model"]](*(parts[place].removesuffix("\n") for place in (1, 3, 5)))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        choice = {"index": 0, "delta": {"content": word}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 100, "completion_tokens": 1, "total_tokens": 101}
        for event in ({"choices": [choice]}, {"choices": [], "usage": usage}):
            await response.write(f"data: {json.dumps(event)}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response


@pytest.fixture(name="bench")
def bench_fixture():
    with Bench() as served:
        yield served


def questions(answers: Sequence[str | None], queries: Sequence[str] = REAL) -> list[tuple[Case, str | None]]:
    """Every answer to every query, against its reference."""
    return [
        (Case(query, references=(reference_to(query),)), answer.format(query=query) if answer else answer)
        for query in queries
        for answer in answers
    ]


async def judged(
    bench: Bench, folder: Path, model: str, asked: Sequence[tuple[Case, str | None]], **more: Any
) -> Judged:
    judge = Judge(url=f"{bench.url}/v1", model=model, **more)
    backend, name = judge_backend(judge)
    try:
        with JudgeCache(folder / "r.judged.jsonl", name, judge.max_tokens) as cache:
            return await judge_all(judge, backend, name, asked, cache, concurrency=8)
    finally:
        await backend.close()


@pytest.fixture(name="questions")
def questions_fixture():
    return questions


@pytest.fixture(name="judged")
def judged_fixture():
    return judged


@pytest.fixture(name="real")
def real_fixture():
    """The queries."""
    return REAL


@pytest.fixture(name="reference_to")
def reference_fixture():
    return reference_to
