"""Surroundings that tests of several packages need: PostgreSQL, a certificate, a server behind TLS, proxies."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import shutil
import ssl
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from training.store_bench.postgres_server import PostgresServer, postgres_server

CHROMIUMS = (
    os.environ.get("APPORTION_CHROMIUM", ""),
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)

# How long an example takes says how busy the machine is, not whether the code is right.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for the run; its data folder is one that another user may enter."""
    with postgres_server(Path(tempfile.mkdtemp(prefix=f"postgres-{os.getpid()}-"))) as server:
        yield server


NUMBERS = itertools.count(1)


@pytest.fixture
def postgres_address(postgres: PostgresServer) -> str:
    return postgres.address(f"budgets_{next(NUMBERS)}")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A real Chromium without a window; skipped where there is none.

    One per module, and none with coroutine tests: its driver keeps an event loop of its own in the test's thread.
    """
    found = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if found is None:
        pytest.skip("there is no Chromium (Debian: apt install chromium; or set APPORTION_CHROMIUM)")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=20_000)

    with sync_playwright() as driver:
        # a browser run by root has no sandbox; it sees our own pages only
        browser = driver.chromium.launch(
            executable_path=found, args=["--no-sandbox"] if os.getuid() == 0 else []
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def small_bundle() -> Callable[[int], Any]:
    """Fits what is learned of forty made-up sums by the backends small and large; every seed gives another version."""
    import numpy as np

    from predictors.observation import Sample
    from training.fit.heads import fit_held_out
    from training.fit.rows import FitRows, LabelledSample

    def fit(seed: int) -> Any:
        chance = random.Random(seed)
        backends = ("small", "large")
        texts = tuple(f"What is {number} + {chance.randint(2, 99)}?" for number in range(40))
        reward = np.array([[float(chance.random() < rate) for rate in (0.4, 0.8)] for _ in texts])
        samples = tuple(
            LabelledSample(
                at, Sample(f"{at}-{name}", name, "4", answer="4", tokens_out=12), reward[at, place]
            )
            for at in range(len(texts))
            for place, name in enumerate(backends)
        )
        tokens, blank, cut = (np.full(reward.shape, value) for value in (12.0, np.nan, False))
        return fit_held_out(FitRows(texts, backends, reward, blank, tokens, cut, samples), seed).bundle

    return fit


class Authority:
    """Vouches for certificates of 127.0.0.1; all of its files are in `folder`."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self._certificate, self._key = self._made(name, None, None, -1.0, 10.0)
        self.ca, _ = self._written(name, self._certificate, self._key)

    def issue(self, name: str, begins: float = -1.0, ends: float = 5.0) -> tuple[Path, Path]:
        """A certificate and its key; it holds from `begins` to `ends`, days from now. Written over what was there."""
        return self._written(name, *self._made(name, self._certificate, self._key, begins, ends))

    def _written(
        self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
    ) -> tuple[Path, Path]:
        paths = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return paths

    @staticmethod
    def _made(
        name: str, issuer: Any, by: Any, begins: float, ends: float
    ) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        key = ec.generate_private_key(ec.SECP256R1())
        of, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), datetime.now(UTC)
        names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        made = (
            x509.CertificateBuilder()
            .subject_name(of)
            .issuer_name(of if issuer is None else issuer.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=begins))
            .not_valid_after(now + timedelta(days=ends))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        )
        return made.sign(by or key, hashes.SHA256()), key


@pytest.fixture(scope="session")
def authorities() -> type[Authority]:
    """Makes authorities in any folder, by name."""
    return Authority


@pytest.fixture
def authority(tmp_path: Path) -> Callable[[str], Authority]:
    """Makes authorities by name, in a folder of the test."""
    folder = tmp_path / "authorities"
    folder.mkdir()
    return lambda name: Authority(folder, name)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of 127.0.0.1; its key is beside it, `key.pem`."""
    folder: Path = tmp_path_factory.mktemp("tls")
    made = Authority(folder, "stub").ca
    made.with_suffix(".key").replace(folder / "key.pem")
    return made.replace(folder / "certificate.pem")


@pytest.fixture(scope="session")
def tls(certificate: Path) -> Iterator[str]:
    """The url of a stub server behind TLS, with a key."""
    from router.backends.stub_server import StubServer
    from router.backends.stub_texts import MadeUp

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))

    @asynccontextmanager
    async def serving() -> AsyncIterator[str]:
        server = StubServer(MadeUp(("behind-tls",)), api_key="open sesame")
        runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        try:
            yield f"https://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    with elsewhere(serving) as url:
        yield url


@contextmanager
def elsewhere(start: Callable[[], AbstractAsyncContextManager[Any]]) -> Iterator[Any]:
    """What `start` gives, kept running by an event loop in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    context = start()
    try:
        yield asyncio.run_coroutine_threadsafe(context.__aenter__(), loop).result(30)
    finally:
        asyncio.run_coroutine_threadsafe(context.__aexit__(None, None, None), loop).result(30)
        asyncio.run_coroutine_threadsafe(_end_the_others(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


async def _end_the_others() -> None:
    """No task and no connection outlives its loop: what they hold would be warned about in somebody else's test."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


class Proxy:
    """An HTTP proxy that only knows CONNECT; `heads` are the requests that it saw."""

    def __init__(self, login: str = "") -> None:
        self.login = login
        self.heads: list[str] = []
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Proxy]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        if self.login and f"Basic {self.login}" not in head:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            await _closed(writer)
            return
        host, port = head.split()[1].split(":")
        there, back = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(_pump(reader, back), _pump(there, writer), return_exceptions=True)
        finally:
            await _closed(back)
            await _closed(writer)


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while received := await source.read(65_536):
            sink.write(received)
            await sink.drain()
    finally:
        sink.close()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with elsewhere(Proxy().running) as started:
        yield started


@pytest.fixture
def guarded_proxy() -> Iterator[Proxy]:
    """It wants the login me:se@cr:et."""
    with elsewhere(Proxy("bWU6c2VAY3I6ZXQ=").running) as started:
        yield started
