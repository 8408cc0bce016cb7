"""A file of keys for web tokens: what of a JWK set may be used, and what is refused by name."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from router.auth.web_keys import read_keys
from router.errors import ConfigError

RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def published(kid: str, key: Any, **more: Any) -> dict[str, Any]:
    """What an issuer publishes of a key."""
    kinds: dict[type, Any] = {rsa.RSAPrivateKey: RSAAlgorithm, ec.EllipticCurvePrivateKey: ECAlgorithm}
    made = next((of for kind, of in kinds.items() if isinstance(key, kind)), OKPAlgorithm)
    return {**json.loads(made.to_jwk(key.public_key())), "kid": kid, **more}


def written(path: Path, *keys: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"keys": keys}))
    return path


PRIVATE = json.loads(RSAAlgorithm.to_jwk(RSA_KEY))
SMALL = published("s", rsa.generate_private_key(65537, 1024))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not a JWK set"),
        ("[]", "is not a JWK set"),
        ('{"keys": {}}', "is not a JWK set"),
        ('{"keys": [1]}', "is not a JWK set"),
        ('{"keys": []}', "has no key for RS256"),
        (json.dumps({"keys": [published("e", EC_KEY)]}), "has no key for RS256"),
        (json.dumps({"keys": [published("r", RSA_KEY, use="enc")]}), "has no key for RS256"),
        (json.dumps({"keys": [published("r", RSA_KEY, alg="PS256")]}), "has no key for RS256"),
        (json.dumps({"keys": [PRIVATE]}), "keys[0]: is a private key"),
        (json.dumps({"keys": [SMALL]}), "keys[0]: has 1024 bits; wants at least 2048"),
        (
            json.dumps({"keys": [published("r", RSA_KEY), published("r", RSA_KEY)]}),
            "keys[1]: another key has",
        ),
        (json.dumps({"keys": [{"kty": "RSA", "n": "!", "e": 3}]}), "keys[0]: is not a key of kind RSA"),
        (json.dumps({"keys": [{"kty": "RSA", "kid": 1}]}), "keys[0]: kid wants text"),
    ],
)
def test_a_file_of_keys_that_cannot_be_used_is_refused_by_name(tmp_path, text, said):
    path = tmp_path / "jwks.json"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        read_keys(path, ["RS256"])
    assert str(refused.value).startswith(str(path))
    assert said in str(refused.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("kty", "kid", "alg", "use", "key_ops", "crv", "n", "e", "x", "y", "k", "d")
TYPES = st.sampled_from(["RSA", "EC", "OKP", "oct", "P-256", "Ed25519", "RS256", "sig", "AQAB"])


@settings(max_examples=400)
@given(
    keys=st.just([])
    | st.lists(st.dictionaries(st.sampled_from(FIELDS), TYPES | JSON, max_size=8), max_size=3),
    of=st.sampled_from([published("r", RSA_KEY), published("e", EC_KEY), published("d", ED_KEY)]),
    changed=st.dictionaries(st.sampled_from(FIELDS), TYPES | JSON, max_size=2),
)
def test_any_json_is_a_set_of_keys_or_a_configuration_error(keys, of, changed, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps({"keys": [*keys, of | changed]}))
    with suppress(ConfigError):
        assert read_keys(path, ["RS256", "ES256", "EdDSA", "HS256"])


@given(st.binary(max_size=200))
def test_any_bytes_are_a_set_of_keys_or_a_configuration_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "bytes.json"
    path.write_bytes(data)
    with pytest.raises(ConfigError):
        read_keys(path, ["RS256"])


@pytest.mark.parametrize(
    ("ops", "said"), [(1, "key_ops wants a list"), ("verify", "key_ops"), (["sign"], "no key")]
)
def test_a_key_whose_uses_are_not_said_rightly_is_refused(tmp_path, ops, said):
    path = written(tmp_path / "jwks.json", published("r", RSA_KEY, key_ops=ops))
    with pytest.raises(ConfigError, match=said):
        read_keys(path, ["RS256"])


def test_a_short_secret_is_refused(tmp_path):
    path = written(tmp_path / "jwks.json", {"kty": "oct", "k": base64.urlsafe_b64encode(b"short").decode()})
    with pytest.raises(ConfigError, match="has 5 bytes"):
        read_keys(path, ["HS256"])
