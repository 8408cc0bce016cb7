"""Whether what router.toml says about those who come in fits together, and whether its files are there."""

from __future__ import annotations

import time
from pathlib import Path

from router.auth.certificate_files import admin_files_of, files_of, read_pair
from router.auth.tokens import read_tokens
from router.auth.web_keys import ALGORITHMS, read_keys
from router.config_access import AdminTlsConfig, AuthConfig, JwtConfig, TlsConfig
from router.configuration.problems import Problems, unknown
from router.errors import ConfigError


def check_tls(tls: TlsConfig, problems: Problems) -> None:
    """Note a half of a pair, and what would have no effect."""
    for path, one in ((("tls",), tls), (("tls", "admin"), tls.admin)):
        if bool(one.certificate) != bool(one.key):
            missing, there = ("key", "certificate") if one.certificate else ("certificate", "key")
            problems.add((*path, missing), f"is missing: a {there} alone is no TLS")
    if not (tls.certificate or tls.key) and (tls.client_ca or tls.admin != AdminTlsConfig()):
        problems.add(("tls",), "certificate and key are missing: the ports would speak without TLS")


def check_jwt(jwt: JwtConfig, problems: Problems) -> None:
    """Note what a web token could not be held against."""
    path = ("auth", "jwt")
    if not jwt.keys:
        if jwt != JwtConfig():
            problems.add(
                (*path, "keys"), "is missing: a file with a JWK set, without which there are no such tokens"
            )
        return
    for key in ("issuer", "audience", "tenant_claim"):
        if not getattr(jwt, key):
            problems.add((*path, key), "is missing: every token is held against it")
    if not jwt.algorithms:
        problems.add((*path, "algorithms"), "names none")
    for name in jwt.algorithms:
        if name not in ALGORITHMS:
            problems.add((*path, "algorithms"), unknown("algorithm", name, ALGORITHMS))


def check_files(auth: AuthConfig, tls: TlsConfig, folder: Path, problems: Problems) -> None:
    """Note files that cannot be served with now."""
    if auth.tokens:
        try:
            read_tokens(folder / auth.tokens)
        except ConfigError as error:
            problems.add(("auth", "tokens"), str(error))
    if auth.jwt.keys and not problems.touch(("auth", "jwt", "algorithms")):
        try:
            read_keys(folder / auth.jwt.keys, auth.jwt.algorithms)
        except ConfigError as error:
            problems.add(("auth", "jwt", "keys"), str(error))
    callers, admin = files_of(tls, folder), admin_files_of(tls, folder)
    for path, files in ((("tls",), callers), (("tls", "admin"), admin if admin != callers else None)):
        if files is None:
            continue
        try:
            read_pair(files, time.time())
        except ConfigError as error:
            problems.add(path, str(error))
