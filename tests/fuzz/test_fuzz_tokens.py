"""Web tokens that were signed or not, whatever they say, and their keys' file: who it is, or a refusal that tells nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from random import Random

from router.auth.web_keys import read_keys
from router.auth.web_tokens import WebTokens
from router.config_access import JwtConfig
from router.errors import ConfigError, Unauthenticated

SECRET = b"0123456789abcdef0123456789abcdef"
NOW = 1_900_000_000.0
CLAIMS = {"iss": "i", "aud": "a", "exp": NOW + 600, "nbf": NOW - 9, "tenant": "search", "role": ["operator"]}
HEADER = {"alg": "HS256", "typ": "JWT", "kid": "h"}


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def keys() -> dict[str, object]:
    return {"keys": [{"kty": "oct", "kid": "h", "alg": "HS256", "k": encoded(SECRET)}]}


def config(path: str) -> JwtConfig:
    return JwtConfig(keys=path, issuer="i", audience="a", algorithms=("HS256", "RS256", "ES256", "EdDSA"))


def test_web_tokens(fuzz, mutations, tmp_path):
    path = tmp_path / "keys.json"
    path.write_text(json.dumps(keys()))
    headers, claims = mutations.strange_json([HEADER]), mutations.strange_json([CLAIMS])
    bytewise = mutations.damaged([b"eyJhbGciOiJub25lIn0.e30.", b"a.b.c", b"..", b"."])
    holder = WebTokens(config(str(path)), path, wall_s=lambda: NOW)

    def make(rng: Random) -> str:
        if rng.random() < 0.1:
            return str(bytewise(rng).decode("utf-8", "surrogateescape"))
        header = headers(rng) if rng.random() < 0.3 else json.dumps(HEADER).encode()
        signed = f"{encoded(header)}.{encoded(claims(rng))}"
        if rng.random() < 0.1:
            return f"{signed}.{encoded(rng.randbytes(32))}"
        return f"{signed}.{encoded(hmac.digest(SECRET, signed.encode(), hashlib.sha256))}"

    def read(token: str) -> None:
        found = holder.identity(token)
        assert found.tenant.isprintable()

    fuzz(make, read, (Unauthenticated,))


def test_files_of_keys(fuzz, mutations, tmp_path):
    path = tmp_path / "keys.json"
    others: dict[str, object] = {
        "keys": [
            {"kty": "EC", "crv": "P-256", "kid": "e", "x": encoded(b"\x01" * 32), "y": encoded(b"\x02" * 32)},
            {"kty": "RSA", "kid": "r", "n": encoded(b"\xff" * 256), "e": "AQAB"},
            {
                "kty": "OKP",
                "crv": "Ed25519",
                "kid": "o",
                "x": encoded(b"\x03" * 32),
                "use": "sig",
                "key_ops": ["verify"],
            },
        ]
    }
    make = mutations.strange_json([keys(), others, {"keys": []}])

    def read(raw: bytes) -> None:
        path.write_bytes(raw)
        read_keys(path, config(str(path)).algorithms)

    fuzz(make, read, (ConfigError,))
