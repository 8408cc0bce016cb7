"""Streams of the door: what is committed, in order, and how they end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest

from router.errors import BackendGarbled

STORY = "Once upon a time there was a fox"


def events(body: bytes) -> list[Any]:
    """The data of a stream's events, comments left out."""
    found = [line.removeprefix("data: ") for line in body.decode().split("\n\n") if line.startswith("data: ")]
    return [piece if piece == "[DONE]" else json.loads(piece) for piece in found]


async def pieces(stream: Any) -> list[Any]:
    return [chunk async for chunk in stream]


async def test_a_stream_begins_with_the_role_and_ends_with_the_finish_the_usage_and_done(house):
    response = await house.post(stream=True, stream_options={"include_usage": True})
    told = events(await response.read())
    assert response.headers["Content-Type"].startswith("text/event-stream")
    assert told[-1] == "[DONE]"
    chunks = told[:-1]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks[:-2]) == STORY
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert (chunks[-2]["choices"][0]["finish_reason"], chunks[-2]["choices"][0]["delta"]) == ("stop", {})
    assert chunks[-2]["router"]["plan"] == "story"
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["completion_tokens"]) == ([], 8)


async def test_a_stream_has_no_usage_unless_asked(house):
    response = await house.post(stream=True)
    assert all("usage" not in chunk for chunk in events(await response.read())[:-1])


async def test_the_headers_of_a_stream_name_the_decision_and_the_plan(house):
    response = await house.post(stream=True)
    (row,) = await house.rows()
    assert response.headers["x-apportion-decision-id"] == row.decision_id
    assert response.headers["x-apportion-plan"] == "story"


async def test_text_is_streamed_as_it_is_committed(house):
    stream = await house.ask("gated", stream=True)
    seen = [(await anext(stream)).choices[0].delta for _ in range(2)]
    assert [delta.content for delta in seen] == ["", "alpha"]  # and the backend has not gone on
    house.gated.gate.set()
    rest = await pieces(stream)
    assert [chunk.choices[0].delta.content for chunk in rest] == [" beta", None]


async def test_text_that_is_not_committed_is_not_streamed(house):
    """The cascade's first samples say 4; its answer is the story."""
    stream = await house.ask("cascade", stream=True)
    text = [chunk.choices[0].delta.content for chunk in await pieces(stream)]
    assert text == ["", STORY, None]


async def test_several_answers_are_several_choices_also_in_a_stream(house):
    whole = await house.ask("small", n=3)
    assert [choice.message.content for choice in whole.choices] == ["4", "4", "5"]
    texts = ["", "", ""]
    ends = []
    for chunk in await pieces(await house.ask("small", n=3, stream=True)):
        (choice,) = chunk.choices
        texts[choice.index] += choice.delta.content or ""
        ends += [choice.index] if choice.finish_reason else []
    assert (texts, ends) == (["4", "4", "5"], [0, 1, 2])


async def test_a_plan_that_stops_early_has_fewer_answers_than_were_asked_for(house):
    assert [choice.message.content for choice in (await house.ask("vote", n=3)).choices] == ["4", "4"]


@pytest.mark.parametrize("keep_alive_s", [0.02])
async def test_a_silent_stream_is_kept_alive_by_comments(house):
    sent = {"model": "gated", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    async with house.http.post(f"{house.url}/v1/chat/completions", json=sent) as response:
        got = b""
        while got.count(b": keep-alive\n\n") < 3:
            got += await response.content.readany()
        house.gated.gate.set()
        got += await response.content.read()
    assert [chunk["choices"][0]["delta"].get("content") for chunk in events(got)[:-1]] == [
        "",
        "alpha",
        " beta",
        None,
    ]


async def test_a_failure_in_the_middle_of_a_stream_is_an_error_event_without_done(house):
    house.gated.failure = BackendGarbled("gated: nonsense")
    house.gated.gate.set()
    response = await house.post(model="gated", stream=True)
    told = events(await response.read())
    assert response.status == 200
    assert told[1]["choices"][0]["delta"]["content"] == "alpha"
    assert told[-1] == {
        "error": {
            "message": "gated: nonsense",
            "type": "server_error",
            "param": None,
            "code": "backend_garbled",
        }
    }


@pytest.mark.parametrize(
    ("model", "status", "code"), [("refusing", 400, "backend_refused"), ("broken", 503, "no_backend")]
)
async def test_what_fails_before_the_first_text_has_a_status_also_as_a_stream(
    house, model: str, status: int, code: str
):
    """Clients raise by it, and try again by it: a prompt that is too long must not look like a lost connection."""
    response = await house.post(model=model, stream=True)
    (row,) = await house.rows()
    assert (response.status, (await response.json())["error"]["code"]) == (status, code)
    assert response.headers["x-request-id"] == row.request_id


@pytest.mark.parametrize("keep_alive_s", [0.02])
async def test_silence_before_the_first_text_ends_with_the_headers_the_role_and_a_comment(house):
    house.gated.first_at_once = False
    sent = {"model": "gated", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    async with house.http.post(f"{house.url}/v1/chat/completions", json=sent) as response:
        got = b""
        while got.count(b": keep-alive\n\n") < 2:
            got += await response.content.readany()
        assert [chunk["choices"][0]["delta"] for chunk in events(got)] == [
            {"role": "assistant", "content": ""}
        ]
        house.gated.failure = BackendGarbled("gated: nonsense")
        house.gated.gate.set()
        got += await response.content.read()
    assert (response.status, events(got)[-1]["error"]["message"]) == (200, "gated: nonsense")


async def test_the_official_client_raises_what_a_stream_ends_with(house):
    house.gated.failure = BackendGarbled("gated: nonsense")
    house.gated.gate.set()
    with pytest.raises(openai.APIError, match="gated: nonsense"):
        await pieces(await house.ask("gated", stream=True))


@pytest.mark.parametrize("keep_alive_s", [0.02])
async def test_a_caller_who_reads_nothing_gives_its_place_back(house):
    house.gated.text = "x" * 20_000_000  # more than the connection takes by itself
    house.gated.gate.set()
    body = json.dumps({"model": "gated", "stream": True, "messages": [{"role": "user", "content": "2 + 2?"}]})
    host, port = house.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port), limit=1000)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    async with asyncio.timeout(10.0):
        await house.gated.left.acquire()
        await house.admission.drain(10.0)
    assert house.admission.calls == 0
    writer.close()


async def test_a_stream_to_a_caller_of_http_1_0_ends_with_the_connection(house):
    """There are no chunks in HTTP/1.0: a connection that is kept open would be a stream without an end."""
    body = json.dumps({"model": "story", "stream": True, "messages": [{"role": "user", "content": "2 + 2?"}]})
    host, port = house.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        "POST /v1/chat/completions HTTP/1.0\r\nConnection: keep-alive\r\nContent-Type: application/json\r\n"
    )
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    async with asyncio.timeout(10.0):
        told = await reader.read()
    assert told.endswith(b"data: [DONE]\n\n")
    writer.close()
