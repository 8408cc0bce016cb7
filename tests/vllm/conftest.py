"""One real vLLM server for all tests here, gone when they are over; clients of the service that a module puts before it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from router.client import AdminClient, Client
from training.demonstration.serve import Ports
from training.vllm_cpu.server import ServerOptions, VllmServer


@pytest.fixture(scope="session")
def small() -> Iterator[VllmServer]:
    """Prefix-cache blocks of 32 tokens; time enough to come up on a machine that does other things."""
    with VllmServer("small", ServerOptions(start_s=900, kv_cache_gib=1, block_tokens=32)) as server:
        yield server
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=5)


@pytest.fixture
async def client(ports: Ports) -> AsyncIterator[Client]:
    async with Client(ports.router, timeout_s=600.0) as connected:
        yield connected


@pytest.fixture
async def admin(ports: Ports) -> AsyncIterator[AdminClient]:
    async with AdminClient(ports.admin, timeout_s=600.0) as connected:
        yield connected
