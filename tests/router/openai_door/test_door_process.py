"""`apportion serve` with its door open, as a process: an empty budget, a stop with work in flight, wrong addresses."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import openai
import pytest

QUESTION = [{"role": "user", "content": "What is 2 + 2?"}]


async def test_a_query_that_the_budget_does_not_cover_is_told_when_to_come_back(serve_door):
    served = serve_door(dollars=0.000240)  # one worst case of the small plan, and not much more
    async with served.async_client() as client:
        for _ in range(100):
            try:
                await client.chat.completions.create(model="small", messages=QUESTION)
            except openai.RateLimitError as error:
                refused = error
                break
        else:
            raise AssertionError("the budget never ended")
    headers = refused.response.headers
    assert (refused.code, refused.type) == ("insufficient_quota", "insufficient_quota")
    assert 3000 < int(headers["retry-after"]) < 3700  # money comes back when it leaves the window of an hour
    assert headers["x-should-retry"] == "false"


async def test_a_query_above_the_whole_budget_is_not_told_to_come_back(serve_door):
    served = serve_door(dollars=0.000001)
    async with served.async_client() as client:
        with pytest.raises(openai.RateLimitError, match="no plan can be paid for") as caught:
            await client.chat.completions.create(model="auto", messages=QUESTION)
    assert "retry-after" not in caught.value.response.headers
    assert caught.value.response.headers["x-should-retry"] == "false"


async def test_sigterm_lets_a_running_stream_end(serve_door, door_stubs):
    small, _ = door_stubs
    served = serve_door()
    small.reset()
    small.fault("slow")
    async with served.async_client() as client:
        asked = [{"role": "user", "content": "Tell me a story."}]
        stream = await client.chat.completions.create(model="small", messages=asked, stream=True)
        text = (await anext(stream)).choices[0].delta.content or ""
        served.process.terminate()
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
    assert text.endswith("a very long way to go.")
    assert await asyncio.to_thread(served.process.wait, 30) == 0


CONFIG = """
reference = "one"
[backends.b]
kind = "scripted"
[[plans]]
name = "one"
stages = [{ backend = "b" }]
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
[store]
sqlite = ":memory:"
"""


def refused(config: Path, text: str, http_listen: str) -> str:
    """What the command says when it does not start."""
    config.write_text(text)
    command = [sys.executable, "-m", "router", "serve", "--config", str(config), "--http-listen", http_listen]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode != 0
    assert "Traceback" not in told.stderr
    return told.stderr


@pytest.mark.parametrize(
    ("address", "piece"),
    [
        ("0.0.0.0:0", "can be reached from other machines"),
        ("nowhere", "HOST:PORT"),
        ("{taken}", "another server"),
    ],
)
def test_an_address_that_cannot_be_had_ends_the_command_with_a_sentence(
    served, tmp_path, address: str, piece: str
):
    taken = served.base_url.removeprefix("http://").removesuffix("/v1")
    assert piece in refused(tmp_path / "router.toml", CONFIG, address.format(taken=taken))


def test_a_plan_with_a_name_of_the_doors_own_ends_the_command_with_a_sentence(tmp_path):
    text = CONFIG.replace('"one"', '"auto"')
    assert "'auto' is a model's name of the OpenAI door" in refused(
        tmp_path / "router.toml", text, "127.0.0.1:0"
    )
