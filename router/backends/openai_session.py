"""The HTTP session of one backend: its key, whom it trusts, its proxy, its connections."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from urllib.parse import quote

import aiohttp

from router.config import BackendConfig
from router.errors import BackendUnavailable

CONNECT_S = 5.0  # a host that drops packets must not eat the time that the next url needs
KEEP_ALIVE_S = 4.0  # below uvicorn's 5 s, so that no request goes out on a connection that is being closed


def open_session(name: str, config: BackendConfig, environ: Mapping[str, str]) -> aiohttp.ClientSession:
    """A session for the backend `name`; call it inside of the event loop that will use it, and close it.

    `ca_file` is trusted instead of the system's authorities. Variables such as HTTPS_PROXY are not read: what leaves
    this machine, and by which way, stands in the configuration. Raises `BackendUnavailable` for a variable that is
    not set or a `ca_file` that cannot be used.
    """
    key = _variable(name, "api_key_env", config.api_key_env, environ)
    return aiohttp.ClientSession(
        # no limit here: what may run at once is the allocator's business
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S, ssl=_trusted(name, config)),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
        cookie_jar=aiohttp.DummyCookieJar(),  # requests of different callers have nothing in common
        middlewares=(_Key(f"Bearer {key}"),) if key else (),
        proxy=_proxy(name, config, environ),
    )


class _Key:
    """Puts the key on requests. A session's default headers would also reach a proxy, in its CONNECT."""

    def __init__(self, value: str) -> None:
        self._value = value

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        request.headers["Authorization"] = self._value
        return await handler(request)


def _trusted(name: str, config: BackendConfig) -> ssl.SSLContext | bool:
    if not config.ca_file:
        return True  # the system's authorities
    try:
        return ssl.create_default_context(cafile=config.ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise BackendUnavailable(f"{name}: ca_file {config.ca_file!r} cannot be used: {error}") from error


def _proxy(name: str, config: BackendConfig, environ: Mapping[str, str]) -> str | None:
    if not config.proxy:
        return None
    user, _, password = _variable(name, "proxy_auth_env", config.proxy_auth_env, environ).partition(":")
    if not user:
        return config.proxy
    scheme, _, place = config.proxy.partition("://")
    return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{place}"


def _variable(name: str, key: str, variable: str, environ: Mapping[str, str]) -> str:
    """The value of the environment variable that the configuration's `key` names; "" where it names none."""
    value = environ.get(variable, "") if variable else ""
    if variable and not value:
        raise BackendUnavailable(f"{name}: the environment variable {variable!r} ({key}) is not set")
    return value
