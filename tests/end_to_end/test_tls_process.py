"""`apportion serve` behind mTLS as a process of its own: its commands come in with their files, and no others do."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from router.client import TLS, Client

CONFIG = """
[store]
sqlite = "decisions.db"
[server]
health_listen = "127.0.0.1:0"
[tls]
certificate = "authorities/server.pem"
key = "authorities/server.key"
client_ca = "authorities/house.pem"
[backends.one]
kind = "scripted"
script = ["the answer is 4"]
[[plans]]
name = "one"
stages = [{ backend = "one" }]
"""
ENDS_WITHIN_S = 30.0


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[str, str, str]]:
    """The addresses of Router, Admin and probes."""
    command = [sys.executable, "-m", "router", "serve", "--config", str(folder / "router.toml"), *options]
    ports = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, *ports], stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        found = re.match(r"listening router=(\S+) admin=(\S+) health=(\S+)\n", said)
        assert found, (said, (folder / "log").read_text())
        yield found[1], found[2], found[3]
    finally:
        process.terminate()
        assert process.wait(ENDS_WITHIN_S) == 0
        process.stdout.close()


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "router", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environ}
    )


@pytest.fixture
def house(authority: Callable[[str], Any], tmp_path: Path) -> Any:
    (tmp_path / "router.toml").write_text(CONFIG)
    made = authority("house")
    made.issue("server")
    return made


@pytest.mark.timeout(180)
def test_commands_show_their_certificate_by_options_or_variables(house, tmp_path):
    certificate, key = map(str, house.issue("me"))
    with serving(tmp_path) as (router, admin, _):
        shown = ("--ca", str(house.ca), "--cert", certificate, "--key", key)
        answered = run(*shown, "ask", "2 + 2?", "--server", router)
        assert (answered.returncode, answered.stdout) == (0, "the answer is 4\n"), answered.stderr
        told = {"APPORTION_CA": str(house.ca), "APPORTION_CERT": certificate, "APPORTION_KEY": key}
        assert run("plans", "--server", admin, **told).returncode == 0
        refused = run("--ca", str(house.ca), "ask", "2 + 2?", "--server", router, "--timeout", "5")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert router in refused.stderr
        assert run("plans", "--server", admin).returncode == 1
        half = run("--ca", str(house.ca), "--cert", certificate, "plans", "--server", admin)
        assert "--cert and --key go together" in half.stderr


@pytest.mark.timeout(180)
async def test_workers_show_one_certificate_and_its_rotation(house, tmp_path):
    shown = house.issue("me")
    with serving(tmp_path, "--workers", "2") as (router, _, probes):
        async with Client(router, tls=TLS(house.ca, *shown)) as old:
            assert (await old.generate("2 + 2?")).text
            before = await served_at(router, house.ca, shown)
            house.issue("server")
            async with asyncio.timeout(30):
                new = 0
                while new < 12:  # connections in a row, of either worker
                    new = 0 if await served_at(router, house.ca, shown) == before else new + 1
            async with Client(router, tls=TLS(house.ca, *shown)) as client:
                assert (await client.generate("2 + 2?")).text
            assert (await old.generate("2 + 2?")).text
        async with grpc.aio.insecure_channel(probes) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            asked = health_pb2.HealthCheckRequest(service="apportion.router.v1.Router")
            assert (await stub.Check(asked)).status == health_pb2.HealthCheckResponse.SERVING


async def served_at(address: str, ca: Path, shown: tuple[Path, Path]) -> str:
    """The serial number of the certificate that a new connection is shown."""
    context = ssl.create_default_context(cafile=str(ca))
    context.load_cert_chain(*shown)
    host, _, port = address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    certificate: dict[str, Any] = writer.get_extra_info("peercert")
    writer.transport.abort()
    return str(certificate["serialNumber"])


def test_a_certificate_that_is_over_ends_the_start_with_a_sentence(house, tmp_path):
    house.issue("server", -3.0, -1.0)
    ended = run("serve", "--config", str(tmp_path / "router.toml"))
    assert ended.returncode == 1
    assert re.search(r"tls: \S+server.pem: the time of CN=server is over since 20\d\d-", ended.stderr), (
        ended.stderr
    )
    assert "Traceback" not in ended.stderr
