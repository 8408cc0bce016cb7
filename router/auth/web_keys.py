"""The file of keys that web tokens are signed with: a JWK set (RFC 7517), each key for algorithms of its own kind.

A key is never used for an algorithm of another kind than its own: what is public of an RSA key cannot become the
secret of an HMAC.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from router.errors import ConfigError

# Algorithm (RFC 7518, 8037) -> kind of key, its curve. `none` is not among them.
ALGORITHMS: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", "")),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
    **dict.fromkeys(("HS256", "HS384", "HS512"), ("oct", "")),
}
LEAST_RSA_BITS = 2048
LEAST_SECRET_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}  # RFC 7518 §3.2
MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class WebKey:
    """One key, and what it may be used for."""

    kid: str  # "": it has no name
    algorithms: frozenset[str]
    key: Any = field(repr=False)


def read_keys(path: Path, allowed: Sequence[str]) -> tuple[WebKey, ...]:
    """The keys that may be used for an allowed algorithm. Raises `ConfigError` naming the file and the key.

    Keys for encryption and of unknown kinds are left out, as RFC 7517 §5 wants it.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(raw) > MOST_BYTES:
        raise ConfigError(f"{path}: has {len(raw):,} bytes; a set of keys has at most {MOST_BYTES:,}")
    try:
        document = json.loads(raw)
        listed = document["keys"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(f'{path}: is not a JWK set: wants {{"keys": […]}}') from error
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise ConfigError(f'{path}: is not a JWK set: wants {{"keys": […]}}')
    found: list[WebKey] = []
    for number, one in enumerate(listed):
        key = _key(f"{path}: keys[{number}]", one, allowed)
        if key is None:
            continue
        if any(key.kid == other.kid and key.algorithms & other.algorithms for other in found):
            raise ConfigError(f"{path}: keys[{number}]: another key has the kid {key.kid!r} too")
        found.append(key)
    if not found:
        raise ConfigError(f"{path}: has no key for {', '.join(allowed)}")
    return tuple(found)


def _key(where: str, said: Mapping[str, Any], allowed: Sequence[str]) -> WebKey | None:
    kind, curve, kid = said.get("kty"), said.get("crv", ""), said.get("kid", "")
    if not isinstance(kid, str):
        raise ConfigError(f"{where}: kid wants text, got {kid!r}")
    if kind != "oct" and "d" in said:
        raise ConfigError(f"{where}: is a private key; this file wants what is public of it alone")
    fits = {name for name in allowed if ALGORITHMS[name][0] == kind and ALGORITHMS[name][1] in ("", curve)}
    if "alg" in said:
        fits &= {said["alg"]} if isinstance(said["alg"], str) else set()
    uses = said.get("key_ops", ["verify"])
    if not isinstance(uses, list):
        raise ConfigError(f"{where}: key_ops wants a list, got {uses!r}")
    if not fits or said.get("use", "sig") != "sig" or "verify" not in uses:
        return None
    key = _read(where, str(kind), said)
    if kind == "RSA" and key.key_size < LEAST_RSA_BITS:
        raise ConfigError(f"{where}: has {key.key_size} bits; wants at least {LEAST_RSA_BITS}")
    if kind == "oct":
        fits = {name for name in fits if len(key) >= LEAST_SECRET_BYTES[name]}
        if not fits:
            raise ConfigError(f"{where}: has {len(key)} bytes; a secret wants at least as many as its hash")
    return WebKey(kid, frozenset(fits), key)


def _read(where: str, kind: str, said: Mapping[str, Any]) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from jwt.algorithms import ECAlgorithm, HMACAlgorithm, OKPAlgorithm, RSAAlgorithm
    from jwt.exceptions import PyJWTError

    readers: dict[str, Any] = {
        "RSA": RSAAlgorithm,
        "EC": ECAlgorithm,
        "OKP": OKPAlgorithm,
        "oct": HMACAlgorithm,
    }
    try:
        return readers[kind].from_jwk(dict(said))
    except (PyJWTError, ValueError, KeyError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{where}: is not a key of kind {kind}: {error}") from error
