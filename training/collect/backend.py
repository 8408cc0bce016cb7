"""`--backend` of `apportion collect`: a server, the way to it, and how it is drawn from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from router.backends.openai_session import open_session
from router.config import BackendConfig
from router.errors import RouterError
from router.onboarding.target import existing_file, server_address
from training.check_points import CheckPoints
from training.errors import TrainingError
from training.openai_samples import Server, models
from training.prompts import prompt_named

DRAWN = (
    "model",
    "prompt",
    "samples",
    "max_tokens",
    "temperature",
    "price_in",
    "price_out",
    "snapshots",
    "hidden",
)
# as in router.toml; ca_file from the current folder
WAY = ("api_key_env", "ca_file", "proxy", "proxy_auth_env")
OPTIONS = (*DRAWN, *WAY)
FORM = f"NAME=URL[,{'=…][,'.join(OPTIONS)}=…]"


def parse_backend(
    text: str, defaults: Server, environ: Mapping[str, str] = os.environ
) -> tuple[Server, int | None]:
    """`NAME=URL[,model=…][,prompt=…][,samples=…]…` as a server and its number of samples, if it has one."""
    name, separator, rest = text.partition("=")
    url, *options = rest.split(",")
    if not separator or not name or not url.startswith(("http://", "https://")):
        raise TrainingError(
            f"--backend {text!r}: expected {FORM.replace('NAME=URL', 'NAME=http://HOST:PORT')}"
        )
    given = dict(option.partition("=")[::2] for option in options)
    for key in given:
        if key not in OPTIONS:
            raise TrainingError(f"--backend {name}: unknown option {key!r}; choose from {', '.join(OPTIONS)}")
    points = CheckPoints.parse(given["snapshots"], "+") if "snapshots" in given else defaults.check_points
    try:
        server = replace(
            defaults,
            name=name,
            url=server_address(url).removesuffix("/v1"),
            model=given.get("model", ""),
            prompt=prompt_named(given.get("prompt", "none")),
            way=_way(given, environ),
            max_tokens=int(given.get("max_tokens", defaults.max_tokens)),
            temperature=float(given.get("temperature", defaults.temperature)),
            price_in=float(given.get("price_in", 0)),
            price_out=float(given.get("price_out", 0)),
            check_points=points,
            hidden=given.get("hidden", defaults.hidden),
        )
        return server, int(given["samples"]) if "samples" in given else None
    except ValueError as error:
        raise TrainingError(f"--backend {name}: {error}") from error


def _way(given: Mapping[str, str], environ: Mapping[str, str]) -> BackendConfig:
    """Raises `ValueError`."""
    for key in ("api_key_env", "proxy_auth_env"):
        if key in given and not environ.get(given[key]):
            raise ValueError(f"{key}: the environment has no {given[key]}")
    if "proxy_auth_env" in given and "proxy" not in given:
        raise ValueError("proxy_auth_env means nothing without proxy=http://HOST:PORT")
    return BackendConfig(
        api_key_env=given.get("api_key_env", ""),
        ca_file=existing_file(given["ca_file"]) if "ca_file" in given else "",
        proxy=server_address(given["proxy"]) if "proxy" in given else "",
        proxy_auth_env=given.get("proxy_auth_env", ""),
    )


async def with_model(server: Server) -> Server:
    """The server with its model's name, asked for where it was not given. Raises TrainingError."""
    try:
        async with open_session(server.name, server.way, os.environ) as session:
            offered = [server.model] if server.model else await models(session, server)
    except RouterError as error:
        raise TrainingError(f"--backend {error}") from error
    if len(offered) != 1:
        raise TrainingError(f"--backend {server.name}: say model=…; it offers {', '.join(offered) or 'none'}")
    return replace(server, model=offered[0])
