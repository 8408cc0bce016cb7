"""router.toml about those who come in: who they are, and how the way to them is closed to others."""

from __future__ import annotations

from router.config_section import Section


class AuthConfig(Section, frozen=True):
    """[auth]: who may come in."""

    tokens: str = (
        ""  # file of tokens (see `router.auth.tokens`), relative to router.toml; empty: everybody may
    )


class AdminTlsConfig(Section, frozen=True):
    """[tls.admin]: what the Admin port has otherwise than [tls]."""

    certificate: str = ""  # default: that of [tls]
    key: str = ""  # the same
    client_ca: str = ""  # the same


class TlsConfig(Section, frozen=True):
    """[tls]: TLS on every port but `server.health_listen`"""

    # PEM, as all of these, relative to router.toml, and read anew when it changes: the certificate of this service,
    # then those between it and the authority; empty: no TLS
    certificate: str = ""
    key: str = ""  # of the certificate, without a password
    # authorities of callers: who shows no certificate of theirs is refused; empty: none is asked for
    client_ca: str = ""
    admin: AdminTlsConfig = AdminTlsConfig()
