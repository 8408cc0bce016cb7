"""With [tls]: every port is closed to who does not trust us, and with client_ca to whom we do not trust."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import msgspec
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from router.assemble import assemble
from router.client import TLS, AdminClient, Client, SyncAdminClient, SyncClient, Unavailable
from router.config import Config
from router.server import Addresses, Servers

SETTINGS: dict[str, Any] = {
    "backends": {"one": {"kind": "scripted", "script": ["the answer is 4"], "price_out": 1.0}},
    "plans": [{"name": "one", "stages": [{"backend": "one"}]}],
    "store": {"sqlite": ":memory:"},
    "metrics": {"on_door": True, "listen": "127.0.0.1:0"},
    "server": {
        "listen": "127.0.0.1:0",
        "admin_listen": "127.0.0.1:0",
        "http_listen": "127.0.0.1:0",
        "health_listen": "127.0.0.1:0",
    },
}
Start = Callable[..., Any]


@dataclass
class Closed:
    """A service behind TLS, and who vouches for it."""

    addresses: Addresses
    house: Any
    ca: Path

    def client(self, tls: TLS | None) -> Client:
        return Client(self.addresses.router, tls=tls, timeout_s=10.0, retries=0)

    def admin(self, tls: TLS | None) -> AdminClient:
        return AdminClient(self.addresses.admin, tls=tls)

    async def get(self, where: str, context: ssl.SSLContext) -> int:
        async with aiohttp.ClientSession() as http, http.get(f"https://{where}", ssl=context) as reply:
            await reply.read()
            return int(reply.status)


@pytest.fixture
def start(authority: Callable[[str], Any], tmp_path: Path) -> Start:
    @asynccontextmanager
    async def started(**tls: Any) -> AsyncIterator[Closed]:
        house = authority("house")
        certificate, key = house.issue("server")
        told = SETTINGS | {"tls": {"certificate": str(certificate), "key": str(key), **tls}}
        service = assemble(msgspec.convert(told, Config), base=tmp_path)
        servers = Servers(service)
        try:
            yield Closed(await servers.start(), house, house.ca)
        finally:
            await servers.stop()
            await service.close()

    return started


def trusting(ca: Path, shown: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca))
    if shown is not None:
        context.load_cert_chain(*shown)
    return context


async def test_every_client_comes_in_that_trusts_the_authority(start):
    async with start() as closed:
        tls = TLS(ca=closed.ca)
        async with closed.client(tls) as client, closed.admin(tls) as admin:
            assert (await client.generate("2 + 2?")).text == "the answer is 4"
            assert [event async for event in client.stream("2 + 2?")]
            assert (await admin.status()).mode.value == "apply"

        def blocking() -> str:
            with SyncClient(closed.addresses.router, tls=tls) as client:
                return client.generate("2 + 2?").text

        def blocking_admin() -> int:
            with SyncAdminClient(closed.addresses.admin, tls=tls) as admin:
                return len(admin.plans())

        assert await asyncio.to_thread(blocking) == "the answer is 4"
        assert await asyncio.to_thread(blocking_admin) == 1
        paths = ("/health", "/v1/models", "/metrics", "/console/")
        for path in paths:
            assert await closed.get(closed.addresses.http + path, trusting(closed.ca)) == 200
        assert await closed.get(closed.addresses.metrics + "/metrics", trusting(closed.ca)) == 200


async def test_a_client_that_trusts_another_authority_is_not_talked_to(start, authorities, tmp_path):
    async with start() as closed:
        other = tmp_path / "other"
        other.mkdir()
        ca = authorities(other, "other").ca
        async with closed.client(TLS(ca=ca)) as client, closed.admin(TLS(ca=ca)) as admin:
            with pytest.raises(Unavailable):
                await client.generate("2 + 2?")
            with pytest.raises(Unavailable):
                await admin.status()
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await closed.get(closed.addresses.http + "/health", trusting(ca))


async def test_who_does_not_speak_tls_gets_no_answer(start):
    async with start() as closed:
        async with closed.client(None) as client:
            with pytest.raises(Unavailable):
                await client.generate("2 + 2?")
        async with aiohttp.ClientSession() as http:
            with pytest.raises(aiohttp.ClientError):
                await http.get(f"http://{closed.addresses.http}/health")


async def test_the_name_of_a_certificate_counts_unless_another_one_is_expected(start):
    async with start() as closed:
        port = closed.addresses.router.rpartition(":")[2]
        async with Client(f"ipv4:127.0.0.1:{port}", tls=TLS(ca=closed.ca, name="localhost")) as client:
            assert (await client.generate("2 + 2?")).text
        async with Client(
            f"ipv4:127.0.0.1:{port}", tls=TLS(ca=closed.ca, name="b.test"), retries=0
        ) as client:
            with pytest.raises(Unavailable):
                await client.generate("2 + 2?")


@pytest.fixture
def callers(tmp_path: Path, authorities: Any) -> Any:
    """The authority of callers, which vouches for nobody else."""
    folder = tmp_path / "callers"
    folder.mkdir()
    return authorities(folder, "callers")


async def test_with_client_ca_who_shows_no_certificate_is_refused_at_every_port(start, callers):
    async with start(client_ca=str(callers.ca)) as closed:
        async with closed.client(TLS(ca=closed.ca)) as client, closed.admin(TLS(ca=closed.ca)) as admin:
            with pytest.raises(Unavailable):
                await client.generate("2 + 2?")
            with pytest.raises(Unavailable):
                await admin.status()
        for where in (closed.addresses.http + "/health", closed.addresses.metrics + "/metrics"):
            with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
                await closed.get(where, trusting(closed.ca))


async def test_with_client_ca_a_certificate_of_theirs_opens_every_port(start, callers):
    async with start(client_ca=str(callers.ca)) as closed:
        certificate, key = callers.issue("me")
        tls = TLS(closed.ca, certificate, key)
        async with closed.client(tls) as client, closed.admin(tls) as admin:
            assert (await client.generate("2 + 2?")).text
            assert await admin.plans()
        context = trusting(closed.ca, (certificate, key))
        assert await closed.get(closed.addresses.http + "/health", context) == 200
        assert await closed.get(closed.addresses.metrics + "/metrics", context) == 200


@pytest.mark.parametrize("days", [(-3.0, -1.0), None])
async def test_with_client_ca_a_certificate_that_is_over_or_of_a_stranger_is_refused(start, callers, days):
    async with start(client_ca=str(callers.ca)) as closed:
        shown = closed.house.issue("me") if days is None else callers.issue("me", *days)
        async with closed.client(TLS(closed.ca, *shown)) as client:
            with pytest.raises(Unavailable):
                await client.generate("2 + 2?")
        with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
            await closed.get(closed.addresses.http + "/health", trusting(closed.ca, shown))


async def test_admin_may_have_an_authority_of_its_own(start, callers):
    async with start(admin={"client_ca": str(callers.ca)}) as closed:
        async with closed.client(TLS(closed.ca)) as client, closed.admin(TLS(closed.ca)) as admin:
            assert (await client.generate("2 + 2?")).text
            with pytest.raises(Unavailable):
                await admin.status()
        async with closed.admin(TLS(closed.ca, *callers.issue("operator"))) as admin:
            assert (await admin.status()).in_flight == 0


async def test_the_port_for_probes_answers_about_health_alone_and_without_tls(start, callers):
    async with (
        start(client_ca=str(callers.ca)) as closed,
        grpc.aio.insecure_channel(closed.addresses.health) as channel,
    ):
        stub: Any = health_pb2_grpc.HealthStub(channel)
        for service in ("", "apportion.router.v1.Router"):
            assert (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status == 1
        async with Client(closed.addresses.health, retries=0) as client:
            with pytest.raises(Exception, match="Method not found"):
                await client.generate("2 + 2?")


async def served_at(address: str, ca: Path) -> int:
    """The serial number of the certificate that a new connection is shown."""
    host, _, port = address.rpartition(":")
    context = trusting(ca)
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    shown: dict[str, Any] = writer.get_extra_info("peercert")
    writer.transport.abort()
    return int(shown["serialNumber"], 16)


async def asked_again(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> bytes:
    """The first line of an answer over a connection that is kept."""
    reader, writer = connection
    writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: "))
    await reader.readexactly(int(length.rpartition(b" ")[2]))
    return head.split(b"\r\n")[0]


async def test_a_rotated_certificate_is_shown_to_new_connections_and_no_old_one_is_cut(start):
    async with start() as closed:
        addresses = closed.addresses
        ports = (addresses.router, addresses.admin, addresses.http, addresses.metrics)
        before = {await served_at(port, closed.ca) for port in ports}
        assert len(before) == 1
        host, _, port = addresses.http.rpartition(":")
        kept = await asyncio.open_connection(host, int(port), ssl=trusting(closed.ca))
        async with (
            closed.admin(TLS(closed.ca)) as admin,
            closed.client(TLS(closed.ca)) as client,
            aclosing(admin.watch()) as rows,
        ):
            first = asyncio.ensure_future(anext(rows))
            while not first.done():  # the stream is open once a row has come
                await client.generate("2 + 2?")
            assert await asked_again(kept) == b"HTTP/1.1 200 OK"
            closed.house.issue("server")
            async with asyncio.timeout(20):
                for where in ports:
                    while await served_at(where, closed.ca) in before:  # noqa: ASYNC110 (looked at once a second)
                        await asyncio.sleep(0.1)
            assert len({await served_at(where, closed.ca) for where in ports}) == 1
            reply = await client.generate("2 + 3?")
            seen = {(await anext(rows)).decision_id}
            while reply.decision_id not in seen:  # rows of before the rotation
                seen.add((await anext(rows)).decision_id)
            assert await asked_again(kept) == b"HTTP/1.1 200 OK"
        kept[1].close()
        await kept[1].wait_closed()


async def test_a_certificate_that_ends_while_it_is_served_refuses_nobody_once_there_is_a_new_one(start):
    async with start() as closed:
        second = 1 / 86_400
        closed.house.issue("server", ends=4 * second)

        async def enters() -> bool:
            async with closed.client(TLS(closed.ca)) as client:
                try:
                    return bool((await client.generate("2 + 2?")).text)
                except Unavailable:
                    return False

        async with closed.client(TLS(closed.ca)) as old, asyncio.timeout(40):
            assert (await old.generate("2 + 2?")).text
            while await enters():  # noqa: ASYNC110 (its time passes)
                await asyncio.sleep(0.1)
            assert (await old.generate("2 + 2?")).text
            closed.house.issue("server")
            while not await enters():  # noqa: ASYNC110 (looked at once a second)
                await asyncio.sleep(0.1)


async def test_a_rotated_authority_of_callers_lets_in_whom_it_vouches_for(
    start, callers, authorities, tmp_path
):
    async with start(client_ca=str(callers.ca)) as closed:
        later = tmp_path / "later"
        later.mkdir()
        new = authorities(later, "callers")
        shown = new.issue("me")
        async with closed.client(TLS(closed.ca, *shown)) as client:
            with pytest.raises(Unavailable):
                await client.generate("2 + 2?")
        callers.ca.write_bytes(new.ca.read_bytes())
        old = callers.issue("old")

        async def enters(pair: tuple[Path, Path]) -> bool:
            async with closed.client(TLS(closed.ca, *pair)) as client:
                try:
                    return bool((await client.generate("2 + 2?")).text)
                except Unavailable:
                    return False

        async def enters_by_http(pair: tuple[Path, Path]) -> bool:
            try:
                await closed.get(closed.addresses.http + "/health", trusting(closed.ca, pair))
            except (aiohttp.ClientError, ssl.SSLError):
                return False
            return True

        async with asyncio.timeout(20):
            while not await enters(shown):  # noqa: ASYNC110 (looked at once a second)
                await asyncio.sleep(0.1)
        assert await enters_by_http(shown)
        assert not await enters(old)
        assert not await enters_by_http(old)
