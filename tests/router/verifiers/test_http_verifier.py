"""The user's own service as a verifier: what it is asked, what it may say, and whatever else it may do."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from router.errors import ConfigError
from router.verifiers import Case
from router.verifiers.http_hook import Http

CASE = Case("2 + 2?")


@asynccontextmanager
async def hook(answer: Any) -> AsyncIterator[str]:
    """A service on a free port; `answer` makes its reply out of the request."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/judge"
    finally:
        await runner.cleanup()


def saying(text: str, status: int = 200, **more: Any) -> Any:
    async def answer(request):
        await request.read()
        return web.Response(text=text, status=status, **more)

    return answer


async def graded(verifier: Http, case: Case = CASE, answer: str = "4") -> float | None:
    return await asyncio.to_thread(verifier.grade, case, answer)


async def test_it_sends_query_answer_and_task_with_the_token(monkeypatch):
    seen = []

    async def answer(request):
        seen.append(
            (request.method, request.path, request.headers.get("Authorization"), await request.json())
        )
        return web.json_response({"pass": True})

    monkeypatch.setenv("HOOK_TOKEN", "secret")
    async with hook(answer) as url:
        verifier = Http(url, token_env="HOOK_TOKEN")
        assert await graded(verifier, Case("2 + 2?", task="sum")) == 1
        assert await graded(Http(url)) == 1
    assert seen == [
        ("POST", "/judge", "Bearer secret", {"query": "2 + 2?", "answer": "4", "task": "sum"}),
        ("POST", "/judge", None, {"query": "2 + 2?", "answer": "4"}),
    ]
    assert "secret" not in repr(verifier)


@pytest.mark.parametrize(
    ("said", "score"),
    [
        ('{"score": 0.25}', 0.25),
        ('{"score": 1}', 1),
        ('{"pass": false}', 0),
        ('{"pass": true, "why": "fine"}', 1),
        ('{"score": 1.5}', None),
        ('{"score": -0.1, "pass": true}', None),
        ('{"score": NaN}', None),
        ('{"score": true}', None),
        ('{"score": "1"}', None),
        ('{"pass": 1}', None),
        ("{}", None),
        ("[1]", None),
        ("1", None),
        ("yes", None),
        ("", None),
        ("[" * 50_000, None),
        ('{"score": ' + "9" * 10_000 + "}", None),
    ],
)
async def test_what_it_says_is_a_score_or_cannot_be_used(said, score):
    async with hook(saying(said)) as url:
        verifier = Http(url)
        assert await graded(verifier) == score
    assert verifier.failures.count == (score is None)


@pytest.mark.parametrize("status", [201, 204, 400, 401, 500, 503])
async def test_another_status_is_no_judgement(status):
    async with hook(saying('{"pass": true}', status)) as url:
        assert await graded(Http(url)) is None


async def test_a_redirect_is_not_followed():
    seen = []

    async def answer(request):
        seen.append(request.path)
        if request.path == "/judge":
            raise web.HTTPTemporaryRedirect("/elsewhere")
        return web.json_response({"pass": True})

    async with hook(answer) as url:
        assert await graded(Http(url)) is None
    assert seen == ["/judge"]


async def test_a_service_that_does_not_answer_or_drips_is_given_up():
    async def drip(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.02)

    async with hook(drip) as url:
        verifier = Http(url, timeout_s=0.3)
        assert await graded(verifier) is None
    assert verifier.failures.count == 1


async def test_a_reply_that_is_too_large_is_given_up():
    async with hook(saying(json.dumps({"pass": True, "why": "x" * 10_000}))) as url:
        assert await graded(Http(url, largest=5_000)) is None
        assert await graded(Http(url, largest=20_000)) == 1


async def test_a_small_reply_does_not_become_a_large_one():
    async def answer(request):
        await request.read()
        body = gzip.compress(b'{"pass": true, "why": "' + b"x" * 1_000_000 + b'"}')
        return web.Response(body=body, headers={"Content-Encoding": "gzip"}, content_type="application/json")

    async with hook(answer) as url:
        assert await graded(Http(url, largest=10_000_000)) is None


async def test_failures_are_counted_and_logged_once():
    verifier = Http("http://127.0.0.1:9/")
    with capture_logs() as logs:
        assert [await graded(verifier) for _ in range(3)] == [None] * 3
    assert verifier.failures.count == 3
    assert [entry["log_level"] for entry in logs] == ["warning"]


async def test_a_token_that_is_not_there_is_not_left_out(monkeypatch):
    monkeypatch.delenv("HOOK_TOKEN", raising=False)
    seen = []

    async def answer(request):
        seen.append(request)
        return web.json_response({"pass": True})

    async with hook(answer) as url:
        assert await graded(Http(url, token_env="HOOK_TOKEN")) is None
    assert not seen


async def test_no_answer_is_wrong_without_asking():
    assert Http("http://127.0.0.1:9/").grade(Case("q"), None) == 0


async def test_any_text_can_be_sent():
    async def answer(request):
        asked = await request.json()
        return web.json_response({"pass": asked["answer"] == "\x00\ud800</é"})

    async with hook(answer) as url:
        assert await graded(Http(url), answer="\x00\ud800</é") == 1


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://host/",
        "host:80",
        "http://",
        "http://h:0/",
        "http://h:99999/",
        "http://h/ a",
        "http://h/\r\nX: y",
        "http://user:pw@h/",
        "//h/",
    ],
)
def test_only_plain_http_addresses_are_taken(url):
    with pytest.raises(ConfigError, match="url"):
        Http(url)


@pytest.mark.parametrize("wrong", [{"timeout_s": 0.0}, {"timeout_s": float("inf")}, {"largest": 0}])
def test_limits_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match="must be"):
        Http("http://h/", **wrong)
