"""A small OpenAI-compatible server for tests of `collect`: what it answers depends on the request alone.

Run as a process; prints its port. The model's name chooses how it misbehaves: `good`, `flaky` (503 at the first
attempt), `dying` (the first attempt's stream breaks off), `picky` (400 for a query with "bad" in it), `html`,
`plain` (does not stream), `slow` (30 ms per answer).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from typing import Any

from aiohttp import web

SEEN: set[tuple[str, int]] = set()


def answer(body: dict[str, Any]) -> str:
    key = json.dumps([body["messages"], body["seed"], body["temperature"]], sort_keys=True)
    return f"Answer: {int(hashlib.sha256(key.encode()).hexdigest(), 16) % 7} é"


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
    if model == "slow":
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
