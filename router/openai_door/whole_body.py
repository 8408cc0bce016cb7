"""The whole body of an HTTP request, which is not waited for without end."""

from __future__ import annotations

import asyncio

from aiohttp import web

BODY_S = (
    120.0  # for the largest body over a slow line; a place is taken after it, a connection is held meanwhile
)


async def whole_body(request: web.Request) -> bytes:
    """The body's bytes. Raises `HTTPRequestTimeout` where they do not come in time; the connection is closed then."""
    try:
        async with asyncio.timeout(BODY_S):
            return await request.read()
    except TimeoutError as error:
        raise web.HTTPRequestTimeout(text=f"the body did not come within {BODY_S:g} s") from error
