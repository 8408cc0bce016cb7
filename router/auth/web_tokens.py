"""JSON Web Tokens (RFC 7519, 8725): who signed one that holds is known by a file of keys, which may change.

Signature first, then issuer, audience and time, then whose it is. Nothing is fetched: the file is written by whoever
knows the issuer, and followed once a second. What was found true of a token is remembered until its time is over, or
the keys change.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from router.auth.followed import LOOK_S, stamp
from router.auth.identity import Identity, Role
from router.auth.tokens import MOST_TENANT_BYTES
from router.auth.web_keys import WebKey, read_keys
from router.config_access import JwtConfig
from router.errors import ConfigError, Unauthenticated

REMEMBERED = 10_000  # tokens
NOT_OURS = "the token is not known, or its time is over"


@dataclass(frozen=True, slots=True)
class Found:
    """What a signed token says."""

    identity: Identity
    begins: float  # seconds since the epoch, leeway and all
    ends: float


class WebTokens:
    """One event loop."""

    def __init__(
        self,
        config: JwtConfig,
        path: Path,
        wall_s: Callable[[], float] = time.time,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read the keys at `path`. Raises `ConfigError`."""
        self._config, self._path, self._wall_s, self._monotonic_s = config, path, wall_s, monotonic_s
        self._stamp = stamp(path)
        self._keys = read_keys(path, config.algorithms)
        self._look_at = monotonic_s() + LOOK_S
        self._known: OrderedDict[bytes, Found] = OrderedDict()

    def identity(self, token: str) -> Identity:
        """Whose it is. Raises `Unauthenticated`; what is wrong is told only about a token that the issuer signed."""
        self._follow()
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        found = self._known.get(digest)
        if found is None:
            found = self._known[digest] = self._found(token)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        now = self._wall_s()
        if now >= found.ends:
            self._known.pop(digest, None)
            raise Unauthenticated("the token's time is over")
        if now < found.begins:
            raise Unauthenticated("the token's time has not begun")
        return found.identity

    def _found(self, token: str) -> Found:
        claims = self._claims(token)
        config = self._config
        ends, begins = _moment(claims, "exp", -math.inf), _moment(claims, "nbf", -math.inf)
        tenant = claims.get(config.tenant_claim)
        if not isinstance(tenant, str) or not tenant.isprintable():
            raise Unauthenticated(f"the token does not say in {config.tenant_claim!r} which tenant's it is")
        if not 0 < len(tenant.encode("utf-8", "replace")) <= MOST_TENANT_BYTES:
            raise Unauthenticated(f"the token's {config.tenant_claim!r} wants 1 to {MOST_TENANT_BYTES} bytes")
        said = claims.get(config.role_claim)
        roles = said if isinstance(said, list) else [said]
        operator = bool(config.operator) and config.operator in roles
        identity = Identity(tenant, Role.OPERATOR if operator else Role.CALLER)
        return Found(identity, begins - config.leeway_s, ends + config.leeway_s)

    def _claims(self, token: str) -> Mapping[str, Any]:
        import jwt

        config = self._config
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise Unauthenticated(NOT_OURS) from None
        key = self._key(header)
        if key is None or "crit" in header:  # nothing that a signer may call critical is known here
            raise Unauthenticated(NOT_OURS)
        try:
            return jwt.decode(
                token,
                key.key,
                algorithms=[header["alg"]],
                audience=config.audience,
                issuer=config.issuer,
                options={
                    "require": ["exp", "iss", "aud"],
                    "verify_exp": False,  # times are held against our own clock, above
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except jwt.InvalidAudienceError:
            raise Unauthenticated("the token is for another audience") from None
        except jwt.InvalidIssuerError:
            raise Unauthenticated("the token is another issuer's") from None
        except jwt.MissingRequiredClaimError as error:
            raise Unauthenticated(f"the token does not say {error.claim}") from None
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise Unauthenticated(NOT_OURS) from None

    def _key(self, header: Mapping[str, Any]) -> WebKey | None:
        """The key that the header names; where it names none, the only one that can be meant."""
        kid, algorithm = header.get("kid"), header.get("alg")
        if not isinstance(algorithm, str):
            return None
        fit = [key for key in self._keys if algorithm in key.algorithms and kid in (None, key.kid)]
        return fit[0] if len(fit) == 1 else None

    def _follow(self) -> None:
        now = self._monotonic_s()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_S
        seen = stamp(self._path)
        if seen == self._stamp:
            return
        self._stamp = seen
        log = structlog.get_logger("router.auth")
        try:
            self._keys = read_keys(self._path, self._config.algorithms)
        except ConfigError as error:
            log.error(  # noqa: TRY400 (the message names the place; a traceback says nothing more)
                "the keys of web tokens cannot be read; what held before holds", error=str(error)
            )
        else:
            self._known.clear()
            log.warning("the keys of web tokens were read anew", keys=len(self._keys))


def _moment(claims: Mapping[str, Any], name: str, default: float) -> float:
    """Seconds since the epoch. Raises `Unauthenticated` for what is no number."""
    value = claims.get(name)
    if value is None:
        return default
    try:
        moment = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, OverflowError):
        moment = math.nan
    if not math.isfinite(moment):
        raise Unauthenticated(f"the token's {name!r} is no time")
    return moment
