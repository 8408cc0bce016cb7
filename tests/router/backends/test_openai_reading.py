"""One connection serves request after request, also of servers that close a reply in a packet of its own."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from router.errors import BackendTimeout

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
SAID = b'data: {"choices": [{"index": 0, "delta": {"content": "4"}, "finish_reason": "stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
END = b"0\r\n\r\n"


class Server:
    """A model server that writes `SAID` and `DONE`, and the end of the reply when `closes` is set, then or later."""

    def __init__(self) -> None:
        self.connections, self.open, self.requests = 0, 0, 0
        self.closes, self.gone = asyncio.Event(), asyncio.Event()
        self.silent = False  # after the head

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                size = next(
                    line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
                )
                await reader.readexactly(int(size.partition(b":")[2]))
                self.requests += 1
                writer.write(HEAD)
                for event in () if self.silent else (SAID, DONE):
                    writer.write(b"%x\r\n%s\r\n" % (len(event), event))
                    await writer.drain()
                closes = asyncio.create_task(self.closes.wait())
                left = asyncio.create_task(reader.read(1))
                await asyncio.wait({closes, left}, return_when=asyncio.FIRST_COMPLETED)
                if left.done():
                    closes.cancel()
                    return
                left.cancel()
                await asyncio.wait({left})
                writer.write(END)
        except asyncio.IncompleteReadError:
            pass
        finally:
            self.gone.set()
            writer.close()


@asynccontextmanager
async def served():
    one = Server()
    listening = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    async with listening:
        yield one, f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


async def test_a_connection_is_used_again_when_its_reply_ends_after_its_last_event(connect, make_call, draw):
    async with served() as (server, url):
        backend = connect(url)
        server.closes.set()  # in a packet of its own, after a turn of the loop
        for _ in range(3):
            drawn = await draw(backend, make_call())
            assert drawn.samples[0].text == "4"
        assert (server.connections, server.requests) == (1, 3)
        await backend.close()


async def test_a_reply_that_never_ends_loses_its_connection(connect, make_call, draw):
    async with served() as (server, url):
        await draw(connect(url), make_call())
        await asyncio.wait_for(server.gone.wait(), 10)
        assert server.connections == 1


async def test_a_reply_that_stays_silent_is_given_up_and_its_connection_closed(connect, make_call, draw):
    async with served() as (server, url):
        server.silent = True
        with pytest.raises(BackendTimeout, match=r"no token within 0\.3 s"):
            await draw(connect(url, first_token_timeout_s=0.3), make_call())
        await asyncio.wait_for(server.gone.wait(), 10)
