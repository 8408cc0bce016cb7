"""A small OpenAI-compatible server for tests of `collect`: what it answers depends on the request alone.

Run as a process; prints its port. The model's name chooses how it misbehaves: `good`, `flaky` (503 at the first
attempt), `dying` (the first attempt's stream breaks off), `picky` (400 for a query with "bad" in it), `html`,
`plain` (does not stream), `slow` (30 ms per answer); with `long` in it, it thinks for ten to twelve tokens, and goes on
with a final message where it is asked to, but for `long-strict`, which refuses that.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from typing import Any

from aiohttp import web

SEEN: set[tuple[str, int]] = set()


def chance(body: dict[str, Any]) -> int:
    key = json.dumps([body["messages"], body["seed"], body["temperature"]], sort_keys=True)
    return int(hashlib.sha256(key.encode()).hexdigest(), 16)


def answer(body: dict[str, Any]) -> str:
    return f"Answer: {chance(body) % 7} é"


def spoken(body: dict[str, Any]) -> list[str]:
    """The tokens of a `long` model: of a thought and an answer, or of what continues a final message."""
    if body.get("continue_final_message"):
        return [" ", str(chance(body) % 7), ".", "\n", "Indeed"]
    words = [" we", " count", " and", " we", " add", " and", " see", " it"][: 6 + chance(body) % 3]
    return ["So", *words, "\n", "Answer:", f" {chance(body) % 7} é"]


def spelled(tokens: list[str]) -> list[dict[str, Any]]:
    """One event per token; the end of the text is a token without text."""
    events = [
        {
            "index": 0,
            "delta": {"content": text},
            "logprobs": {"content": [{"token": text, "logprob": -0.1 * number, "top_logprobs": []}]},
        }
        for number, text in enumerate(tokens, 1)
    ]
    end = {"content": [{"token": "<|end|>", "logprob": -0.01, "top_logprobs": []}]}
    return [*events, {"index": 0, "delta": {"content": ""}, "logprobs": end, "finish_reason": "stop"}]


def choice(text: str, first: bool) -> dict[str, Any]:
    top = [{"logprob": -0.6931471805599453}, {"logprob": -0.6931471805599453}]
    return {
        "index": 0,
        "delta": {"content": text},
        "logprobs": {"content": [{"logprob": -0.5 if first else -1.5, "top_logprobs": top}]},
    }


async def completions(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    model, text = body["model"], answer(body)
    first_time = (model, body["seed"]) not in SEEN
    SEEN.add((model, body["seed"]))
    if model == "html":
        return web.Response(text="<html>welcome</html>", content_type="text/html")
    if model == "flaky" and first_time:
        return web.Response(status=503, text="busy", headers={"Retry-After": "0"})
    if model == "picky" and "bad" in body["messages"][-1]["content"]:
        return web.json_response({"error": {"message": "too bad"}}, status=400)
    if model == "long-strict" and body.get("continue_final_message"):
        return web.json_response({"error": {"message": "unknown parameter"}}, status=400)
    if "slow" in model:
        await asyncio.sleep(0.03)
    usage = {"prompt_tokens": len(body["messages"][-1]["content"]), "completion_tokens": 2}
    if model == "plain":
        whole = {"message": {"content": text}, "finish_reason": "stop"}
        return web.json_response({"choices": [whole], "usage": usage})
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    events: list[dict[str, Any]] = [
        {"choices": [choice(text[:4], True)]},
        {"choices": [choice(text[4:], False)]},
    ]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if "long" in model:
        said = spoken(body)
        usage["completion_tokens"] = len(said) + 1
        events = [{"choices": [event]} for event in spelled(said)]
    events.append({"choices": [], "usage": usage})
    for event in events[: 1 if model == "dying" and first_time else None]:
        await response.write(f"data: {json.dumps(event)}\n\n".encode())
    if not (model == "dying" and first_time):
        await response.write(b"data: [DONE]\n\n")
    return response


async def offered(_request: web.Request) -> web.Response:
    return web.json_response({"data": [{"id": "good"}]})


async def main() -> None:
    app = web.Application()
    app.add_routes([web.post("/v1/chat/completions", completions), web.get("/v1/models", offered)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
