"""A backend as the command line names it: NAME=URL or NAME=URL#MODEL, and options for all or for one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from router.config import BackendConfig
from router.configuration.problems import unknown
from router.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target:
    """A server that shall become a backend."""

    name: str
    config: BackendConfig  # one url, and the way there; the model may be empty
    dollars_per_hour: float | None = None  # of the GPUs that serve it

    @property
    def url(self) -> str:
        """Where it is."""
        return self.config.urls[0]


def read_targets(
    backends: Sequence[str],
    *,
    dollars: Sequence[str] = (),
    keys: Sequence[str] = (),
    ca_files: Sequence[str] = (),
    proxies: Sequence[str] = (),
    proxy_logins: Sequence[str] = (),
) -> list[Target]:
    """Raises `ConfigError` naming the option, the value and what would be right."""
    named = [_server(text) for text in backends]
    if not named:
        raise ConfigError("--backend: name at least one server: --backend NAME=http://HOST:PORT")
    names = [name for name, _, _ in named]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"--backend: two backends are named {name!r}; add further urls of one to the file"
            )
    prices = _of_each("--gpu-dollars-per-hour", dollars, names, _dollars)
    key = _of_each("--api-key-env", keys, names, str)
    ca_file = _of_each("--ca-file", ca_files, names, existing_file)
    proxy = _of_each("--proxy", proxies, names, server_address)
    login = _of_each("--proxy-auth-env", proxy_logins, names, str)
    return [
        Target(
            name,
            BackendConfig(
                urls=(url,),
                model=model,
                api_key_env=key.get(name, ""),
                ca_file=ca_file.get(name, ""),
                proxy=proxy.get(name, ""),
                proxy_auth_env=login.get(name, ""),
            ),
            prices.get(name),
        )
        for name, url, model in named
    ]


def read_prices(values: Sequence[str], names: Sequence[str]) -> Mapping[str, float]:
    """`--gpu-dollars-per-hour` by backend."""
    return _of_each("--gpu-dollars-per-hour", values, names, _dollars)


def _server(text: str) -> tuple[str, str, str]:
    """Name, url, model."""
    name, equals, rest = text.partition("=")
    url, _, model = rest.partition("#")
    if not equals or not name.strip() or not name.isprintable():
        raise ConfigError(f"--backend: wants NAME=http://HOST:PORT or NAME=URL#MODEL, got {text!r}")
    try:
        return name.strip(), server_address(url).removesuffix("/v1"), model
    except ValueError as error:
        raise ConfigError(f"--backend {name}: {error}") from error


def server_address(url: str) -> str:
    """The address of a server or a proxy, without a slash at its end. Raises `ValueError`."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
        raise ValueError(f"wants http://HOST:PORT or https://HOST:PORT, got {url!r}")
    if parts.username or parts.password:
        raise ValueError(
            "the url holds a password; name the variable that holds it (api_key_env, proxy_auth_env)"
        )
    return url.rstrip("/")


def _dollars(text: str) -> float:
    try:
        dollars = float(text.removeprefix("$"))
    except ValueError:
        dollars = -1.0
    if not 0 < dollars < 1e6:
        raise ValueError(f"wants dollars per hour, above 0, got {text!r}")
    return dollars


def existing_file(text: str) -> str:
    """The whole path of a file that is there. Raises `ValueError`."""
    if not Path(text).is_file():
        raise ValueError(f"there is no file {text!r}")
    return str(Path(text).resolve())


def _of_each(
    option: str, values: Sequence[str], names: Sequence[str], read: Callable[[str], T]
) -> dict[str, T]:
    """`VALUE` is for every backend, `NAME=VALUE` for one and counts more, in whatever order they stand."""
    everybody: dict[str, T] = {}
    single: dict[str, T] = {}
    for text in values:
        name, equals, value = text.partition("=")
        mine = equals and (name in names or name.isidentifier())
        if mine and name not in names:
            raise ConfigError(f"{option}: {unknown('backend', name, names)}")
        try:
            if mine:
                single[name] = read(value)
            else:
                everybody = dict.fromkeys(names, read(text))
        except ValueError as error:
            raise ConfigError(f"{option}: {error}") from error
    return everybody | single
