"""Many requests at once to one OpenAI-compatible server, each read to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp

from training.errors import TrainingError


async def burst(url: str, bodies: Sequence[Mapping[str, Any]]) -> None:
    """Send all; return when the last has ended. Raises TrainingError for one that is not answered."""

    async def one(body: Mapping[str, Any]) -> None:
        async with session.post(f"{url}/v1/chat/completions", json=body) as response:
            said = await response.read()
            if response.status != 200 or b"[DONE]" not in said:
                raise TrainingError(f"{url}: HTTP {response.status}: {said[:300]!r}")

    timeout = aiohttp.ClientTimeout(total=None, sock_read=600)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        await asyncio.gather(*(one(body) for body in bodies))
