"""router.toml about those who come in: who they are, and how the way to them is closed to others."""

from __future__ import annotations

from collections.abc import Mapping

from router.config_section import Section


class JwtConfig(Section, frozen=True):
    """[auth.jwt]: JSON Web Tokens of an issuer that you trust, beside the file of tokens."""

    # a JWK set with what is public of the issuer's keys, relative to router.toml, read anew when it changes; nothing is
    # fetched; empty: no such tokens
    keys: str = ""
    issuer: str = ""  # `iss` that a token must have
    audience: str = ""  # one of its `aud`
    # of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, and HS256, HS384, HS512, whose keys are
    # secrets
    algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
    leeway_s: float = 30.0  # by which the issuer's clock may differ
    tenant_claim: str = "tenant"  # the claim that says whose it is
    role_claim: str = "role"  # the claim, a text or a list, in which operators have the word `operator`
    operator: str = "operator"  # that word; empty: no such token is an operator's


class AuthConfig(Section, frozen=True):
    """[auth]: who may come in; without tokens and jwt, everybody."""

    tokens: str = ""  # file of tokens (see `router.auth.tokens`), relative to router.toml
    jwt: JwtConfig = JwtConfig()


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


class TenantLimitsConfig(Section, frozen=True):
    """[limits.tenants.NAME]: what this tenant may ask otherwise than [limits] says."""

    queries_per_s: float | None = None  # default: that of [limits]; 0: as many as it likes
    in_flight: int | None = None  # the same


class LimitsConfig(Section, frozen=True):
    """[limits]: how much each tenant may ask of one process; what is above is refused with OVERLOAD and a delay"""

    queries_per_s: float = 0.0  # on average, bursts of two seconds' worth; 0: as many as it likes
    in_flight: int = 0  # running at a time; 0: as many as it likes
    tenants: Mapping[str, TenantLimitsConfig] = {}
