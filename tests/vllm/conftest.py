"""One real vLLM server for all tests here; gone when they are over."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from training.vllm_cpu.server import ServerOptions, VllmServer


@pytest.fixture(scope="session")
def small() -> Iterator[VllmServer]:
    """Prefix-cache blocks of 32 tokens; time enough to come up on a machine that does other things."""
    with VllmServer("small", ServerOptions(start_s=900, kv_cache_gib=1, block_tokens=32)) as server:
        yield server
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=5)
