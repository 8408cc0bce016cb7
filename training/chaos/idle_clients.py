"""Connections of those who want nothing good: thousands that say nothing, and readers who never read."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

SLOW = "slow"  # the tenant of those who never read
# streams asked for on one connection, one after the other: some 300 kB, more than buffers take
PIPELINED = 60


@asynccontextmanager
async def idle(addresses: list[str], each: int) -> AsyncIterator[int]:
    """`each` connections to every address, of which a half never says a word and a half begins a request; how many."""
    with ExitStack() as open_ones:
        made = 0
        for address in addresses:
            host, _, port = address.rpartition(":")
            for number in range(each):
                one = open_ones.enter_context(socket.socket())
                one.setblocking(False)
                try:
                    async with asyncio.timeout(10.0):
                        await asyncio.get_running_loop().sock_connect(one, (host, int(port)))
                except (OSError, TimeoutError):
                    continue
                made += 1
                if number % 2:
                    one.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n")
        yield made


@asynccontextmanager
async def slow_readers(addresses: list[str], each: int) -> AsyncIterator[int]:
    """`each` connections to every door, whose streams are asked for and never read; how many."""
    body = json.dumps(
        {
            "model": "small",
            "stream": True,
            "max_tokens": 64,
            "messages": [{"role": "user", "content": "tell me more"}],
            "router": {"tenant": SLOW, "return_samples": True},
        }
    ).encode()
    with ExitStack() as open_ones:
        made = 0
        for address in addresses:
            host, _, port = address.rpartition(":")
            head = (
                f"POST /v1/chat/completions HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n"
            )
            for _ in range(each):
                one = open_ones.enter_context(socket.socket())
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                one.setblocking(False)
                try:
                    async with asyncio.timeout(10.0):
                        await asyncio.get_running_loop().sock_connect(one, (host, int(port)))
                    for _ in range(PIPELINED):
                        one.send(head.encode() + body)
                except BlockingIOError:
                    pass  # it takes no more: so many wait
                except (OSError, TimeoutError):
                    continue
                made += 1
        yield made
