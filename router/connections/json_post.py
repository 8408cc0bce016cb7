"""One JSON question to a configured address, one JSON answer: bounded in time and size, no redirects, no retries.

The address comes from configuration, never from a request. Variables such as HTTPS_PROXY are not read. The blocking
form is for threads: it runs a loop of its own.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from router.errors import ConfigError

LARGEST = 1024 * 1024  # bytes of an answer


class PostFailed(Exception):
    """No answer that could be read; the message says why."""


def check_url(who: str, url: str) -> None:
    """Raise `ConfigError` for what is not an http or https address, or has a password in it."""
    try:
        parts = urlsplit(url)
        right = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        right, parts = False, urlsplit("")
    if not right or not url.isprintable() or " " in url:
        raise ConfigError(f"{who}: url wants http://HOST:PORT/… or https://…, got {url!r}")
    if parts.username is not None or parts.password is not None:
        raise ConfigError(f"{who}: url must not hold a password; name an environment variable for the token")


async def post_json(
    url: str, body: Any, *, token: str = "", timeout_s: float = 5.0, largest: int = LARGEST
) -> Any:
    """The decoded answer to a POST of `body`. Raises `PostFailed`, also for every status but 200."""
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    try:
        async with (
            # not decompressed: a small answer must not become a large one
            aiohttp.ClientSession(timeout=timeout, trust_env=False, auto_decompress=False) as session,
            session.post(
                url, data=json.dumps(body).encode(), headers=headers, allow_redirects=False
            ) as response,
        ):
            if response.status != 200:
                raise PostFailed(f"{url}: HTTP {response.status}")
            read = bytearray()
            async for piece in response.content.iter_chunked(65536):
                read += piece
                if len(read) > largest:
                    raise PostFailed(f"{url}: the answer has more than {largest} bytes")
    except TimeoutError as error:
        raise PostFailed(f"{url}: no answer within {timeout_s:g} s") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise PostFailed(f"{url}: {type(error).__name__}: {error}") from error
    try:
        return json.loads(read.decode())
    except (ValueError, RecursionError) as error:
        raise PostFailed(f"{url}: not JSON: {bytes(read[:80])!r}") from error


def post_json_blocking(
    url: str, body: Any, *, token: str = "", timeout_s: float = 5.0, largest: int = LARGEST
) -> Any:
    """`post_json` in a loop of its own; not from a thread that runs one."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(
            post_json(url, body, token=token, timeout_s=timeout_s, largest=largest)
        )
    finally:
        loop.close()  # and not `asyncio.run`, which waits for a name server that does not answer
