"""The whole body of an HTTP request: not waited for without end, and of all at once no more than may be held."""

from __future__ import annotations

import asyncio

from aiohttp import web

from router.errors import InvalidQuery, Overloaded

# for the largest body over a slow line; a place is taken after it, a connection is held meanwhile
BODY_S = 120.0
FREE_BYTES = 64 * 1024  # of each body count for nothing: a connection buffers as much anyway
RETRY_S = 2.0  # where there is no room for it
HELD = web.RequestKey("held", int)  # bytes of a request's body that count


class Bodies:
    """What the bodies of requests hold together, from their first bytes until their requests have ended."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes, self.held_bytes = most_bytes, 0

    def hold(self, request: web.Request, held_bytes: int) -> None:
        """So much of the request's body is here. Raises `Overloaded` where all together are too much."""
        held_bytes -= FREE_BYTES
        more = held_bytes - request.get(HELD, 0)
        if more <= 0:
            return
        if self.held_bytes + more > self.most_bytes:
            problem = f"bodies of other requests hold {self.held_bytes} of {self.most_bytes} bytes"
            raise Overloaded(f"there is no room for so large a body now: {problem}", RETRY_S)
        self.held_bytes += more
        request[HELD] = held_bytes

    def ended(self, request: web.Request) -> None:
        """The request has ended; its body goes."""
        self.held_bytes -= request.get(HELD, 0)


BODIES: web.AppKey[Bodies] = web.AppKey("bodies", Bodies)


async def whole_body(request: web.Request) -> bytes:
    """The body's bytes.

    Raises `HTTPRequestTimeout` where they do not come in time, and the connection is closed then;
    `HTTPRequestEntityTooLarge`; `InvalidQuery` for what cannot be unpacked; `Overloaded` where there is no room for a
    large one.
    """
    bodies, most, body = request.config_dict[BODIES], request.client_max_size, bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            while piece := await request.content.readany():
                body += piece
                if len(body) > most:
                    raise web.HTTPRequestEntityTooLarge(most)
                bodies.hold(request, len(body))
    except web.RequestPayloadError as error:  # damaged chunks, or not what content-encoding says
        raise InvalidQuery(
            "body", "cannot be read", "as Content-Encoding and Transfer-Encoding say"
        ) from error
    except TimeoutError as error:
        raise web.HTTPRequestTimeout(text=f"the body did not come within {BODY_S:g} s") from error
    return bytes(body)
