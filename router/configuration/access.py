"""Whether what router.toml says about those who come in fits together, and whether its files are there."""

from __future__ import annotations

import time
from pathlib import Path

from router.auth.certificate_files import admin_files_of, files_of, read_pair
from router.config_access import AdminTlsConfig, TlsConfig
from router.configuration.problems import Problems
from router.errors import ConfigError


def check_tls(tls: TlsConfig, problems: Problems) -> None:
    """Note a half of a pair, and what would have no effect."""
    for path, one in ((("tls",), tls), (("tls", "admin"), tls.admin)):
        if bool(one.certificate) != bool(one.key):
            missing, there = ("key", "certificate") if one.certificate else ("certificate", "key")
            problems.add((*path, missing), f"is missing: a {there} alone is no TLS")
    if not (tls.certificate or tls.key) and (tls.client_ca or tls.admin != AdminTlsConfig()):
        problems.add(("tls",), "certificate and key are missing: the ports would speak without TLS")


def check_certificates(tls: TlsConfig, folder: Path, problems: Problems) -> None:
    """Note files that cannot be served now."""
    callers, admin = files_of(tls, folder), admin_files_of(tls, folder)
    for path, files in ((("tls",), callers), (("tls", "admin"), admin if admin != callers else None)):
        if files is None:
            continue
        try:
            read_pair(files, time.time())
        except ConfigError as error:
            problems.add(path, str(error))
