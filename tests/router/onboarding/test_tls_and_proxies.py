"""The way to a server: certificates that are trusted or not, proxies with and without a login, keys kept from them."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing
from typing import Any

import pytest

from predictors.observation import Message, Part, Query, Sampling
from router.assemble_parts import build_backends
from router.backends import Call
from router.backends.vllm import VLLM
from router.config import BackendConfig, Config
from router.domain.plan import Prompt
from router.domain.usage import Meter
from router.errors import BackendUnavailable

ENVIRON = {"THE_KEY": "open sesame", "LOGIN": "me:se@cr:et"}


@pytest.fixture
def answered(tls):
    """`await answered(ca_file=…)` asks the TLS server through the backend that serves queries."""

    async def run(backend: VLLM | None = None, **config: str) -> int:
        known: dict[str, Any] = {"urls": (tls,), "model": "behind-tls", "api_key_env": "THE_KEY"} | config
        backend = backend or VLLM("small", BackendConfig(**known), ENVIRON)
        query = Query("r", (Message("user", (Part(text="hello"),)),))
        call = Call(query, 0, Sampling(max_tokens=20), Prompt(), max_samples=1, width=1, seed=1)
        try:
            async with aclosing(backend.sample(call, Meter())) as events:
                return len([event async for event in events])
        finally:
            await backend.close()
            # aiohttp ends TLS connections on later turns of the loop, and says to wait for them
            await asyncio.sleep(0.1)

    return run


async def test_a_certificate_that_is_named_is_trusted(answered, certificate):
    assert await answered(ca_file=str(certificate)) == 1


async def test_a_self_signed_certificate_is_not_trusted_by_itself(answered):
    with pytest.raises(
        BackendUnavailable, match=r"its certificate is not trusted: self.signed certificate; ca_file"
    ):
        await answered()


async def test_plain_http_where_tls_is_expected_is_named(answered, able):
    with pytest.raises(BackendUnavailable, match=r"no TLS there; is it http://"):
        await answered(urls=(able.url.replace("http:", "https:"),))


async def test_a_certificate_file_that_is_none_is_named(answered, tmp_path):
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(BackendUnavailable, match=r"small: ca_file '.*ca.pem' cannot be used"):
        await answered(ca_file=str(tmp_path / "ca.pem"))


async def test_the_file_is_looked_for_where_the_configuration_is(answered, certificate, tls, monkeypatch):
    monkeypatch.setitem(os.environ, "THE_KEY", "open sesame")
    section = BackendConfig(urls=(tls,), model="behind-tls", api_key_env="THE_KEY", ca_file=certificate.name)
    backend = build_backends(Config(backends={"small": section}, plans=()), certificate.parent)["small"]
    backend._environ = ENVIRON  # type: ignore[attr-defined]
    assert await answered(backend) == 1


async def test_a_proxy_is_gone_through(answered, certificate, proxy, tls):
    assert await answered(ca_file=str(certificate), proxy=proxy.url) == 1
    assert [head.split()[:2] for head in proxy.heads] == [["CONNECT", tls.removeprefix("https://")]]


async def test_a_proxy_never_sees_the_key_of_a_server_behind_tls(answered, certificate, proxy):
    await answered(ca_file=str(certificate), proxy=proxy.url)
    assert proxy.heads
    assert not any("open sesame" in head or "authorization: bearer" in head.lower() for head in proxy.heads)


async def test_a_proxy_that_wants_a_login_gets_it(answered, certificate, guarded_proxy):
    config = {"ca_file": str(certificate), "proxy": guarded_proxy.url, "proxy_auth_env": "LOGIN"}
    assert await answered(**config) == 1


async def test_a_proxy_that_refuses_is_named(answered, certificate, guarded_proxy):
    with pytest.raises(BackendUnavailable, match="the proxy refuses: HTTP 407"):
        await answered(ca_file=str(certificate), proxy=guarded_proxy.url)


async def test_a_proxy_that_is_not_there_is_named(answered):
    with pytest.raises(BackendUnavailable, match="the proxy cannot be reached"):
        await answered(proxy="http://127.0.0.1:1")


async def test_a_login_that_is_not_set_is_named(answered, proxy):
    with pytest.raises(BackendUnavailable, match=r"variable 'NOBODY' \(proxy_auth_env\) is not set"):
        await answered(proxy=proxy.url, proxy_auth_env="NOBODY")


async def test_proxies_of_the_environment_are_not_used(answered, certificate, monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert await answered(ca_file=str(certificate)) == 1


def test_init_measures_and_writes_a_server_behind_tls_and_a_proxy(
    apportion, tls, certificate, proxy, tmp_path, monkeypatch
):
    monkeypatch.setenv("THE_KEY", "open sesame")
    way = ["--api-key-env", "THE_KEY", "--ca-file", str(certificate), "--proxy", f"small={proxy.url}"]
    told = apportion(
        "init", "--backend", f"small={tls}", *way, "--out", str(tmp_path / "router.toml"), "--quick", "--json"
    )
    assert (told.exit_code, told.err.count("not trusted")) == (0, 0)
    assert apportion("check", str(tmp_path / "router.toml")).exit_code == 0
    assert "open sesame" not in (tmp_path / "router.toml").read_text()
    assert proxy.heads
