"""A model server that fails is named to operators, in the status and in the log, and so is its coming back."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from router.assemble import assemble
from router.client import AdminClient, Client, Unavailable
from router.config import Config
from router.server import Servers


@pytest.fixture
def nobody() -> str:
    """An address where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


async def test_the_status_and_the_log_name_a_server_that_cannot_be_reached(
    tmp_path: Path, nobody: str
) -> None:
    told: dict[str, Any] = {
        "backends": {"one": {"kind": "vllm", "urls": [nobody], "model": "m", "price_out": 1.0}},
        "plans": [{"name": "one", "stages": [{"backend": "one"}]}],
        "store": {"sqlite": ":memory:"},
        "server": {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0"},
    }
    service = assemble(msgspec.convert(told, Config), base=tmp_path)
    servers = Servers(service)
    addresses = await servers.start()
    try:
        with capture_logs() as lines:
            async with Client(addresses.router, retries=0) as client, AdminClient(addresses.admin) as admin:
                assert not [one for one in (await admin.status()).degraded if "backend" in one]
                for _ in range(2):
                    with pytest.raises(Unavailable):
                        await client.generate("2 + 2?")
                (said,) = [one for one in (await admin.status()).degraded if "backend" in one]
        assert said.startswith("backend 'one': 1 of 1 servers failed last: one at " + nobody)
        (line,) = [line for line in lines if line["event"] == "a model server fails"]  # not one a query
        assert (line["url"], line["log_level"]) == (nobody, "warning")
    finally:
        await servers.stop()
        await service.close()
