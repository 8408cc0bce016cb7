"""A web token lets in whom its issuer names, for as long as it says; no trick of its header changes whose key is asked."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from structlog.testing import capture_logs

from router.auth.followed import LOOK_S
from router.auth.guard import Guard
from router.auth.identity import Identity, Role
from router.auth.tokens import entry_text, hash_of
from router.auth.web_tokens import WebTokens
from router.config_access import JwtConfig
from router.errors import Forbidden, Unauthenticated

NOW = 1_900_000_000.0
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
SECRET = b"0123456789abcdef0123456789abcdef"
ISSUER, AUDIENCE = "https://issuer.test", "apportion"
CLAIMS = {"iss": ISSUER, "aud": AUDIENCE, "exp": NOW + 600, "tenant": "search"}
EMPTY = base64.urlsafe_b64encode(b"{}").decode().rstrip("=")


def published(kid: str, key: Any, **more: Any) -> dict[str, Any]:
    """What an issuer publishes of a key."""
    kinds: dict[type, Any] = {rsa.RSAPrivateKey: RSAAlgorithm, ec.EllipticCurvePrivateKey: ECAlgorithm}
    made = next((of for kind, of in kinds.items() if isinstance(key, kind)), OKPAlgorithm)
    return {**json.loads(made.to_jwk(key.public_key())), "kid": kid, **more}


def written(path: Path, *keys: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"keys": keys}))
    return path


def token(key: Any = RSA_KEY, algorithm: str = "RS256", kid: str | None = "r1", **claims: Any) -> str:
    said = {name: value for name, value in (CLAIMS | claims).items() if value is not None}
    return jwt.encode(said, key, algorithm=algorithm, headers={"kid": kid} if kid else {})


@dataclass
class Door:
    path: Path
    config: JwtConfig
    at: float = 0.0
    now: float = NOW
    tokens: WebTokens = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = WebTokens(self.config, self.path, lambda: self.now, lambda: self.at)

    def refuses(self, said: str) -> str:
        with pytest.raises(Unauthenticated) as refused:
            self.tokens.identity(said)
        return str(refused.value)


@pytest.fixture
def door(tmp_path: Path) -> Callable[..., Door]:
    def opened(*keys: dict[str, Any], **said: Any) -> Door:
        path = written(tmp_path / "jwks.json", *(keys or (published("r1", RSA_KEY),)))
        told = {"keys": "jwks.json", "issuer": ISSUER, "audience": AUDIENCE, **said}
        return Door(path, msgspec.convert(told, JwtConfig))

    return opened


@pytest.mark.parametrize(
    ("key", "algorithm"), [(RSA_KEY, "RS256"), (EC_KEY, "ES256"), (ED_KEY, "EdDSA")], ids=["RS", "ES", "Ed"]
)
def test_a_token_of_the_issuer_says_whose_it_is(door, key, algorithm):
    keys = published("r1", RSA_KEY), published("e1", EC_KEY), published("d1", ED_KEY)
    kid = {"RS256": "r1", "ES256": "e1", "EdDSA": "d1"}[algorithm]
    tokens = door(*keys).tokens
    assert tokens.identity(token(key, algorithm, kid)) == Identity("search", Role.CALLER)
    # the only one of its kind
    assert tokens.identity(token(key, algorithm, None)) == Identity("search", Role.CALLER)


@pytest.mark.parametrize("role", ["operator", ["caller", "operator"]])
def test_the_role_makes_an_operator(door, role):
    assert door().tokens.identity(token(role=role)).role is Role.OPERATOR


@pytest.mark.parametrize("role", ["admin", "", None, 1, {"operator": True}, ["caller"], [["operator"]]])
def test_any_other_role_is_a_callers(door, role):
    assert door().tokens.identity(token(role=role)).role is Role.CALLER


def test_without_a_word_for_operators_nobody_is_one(door):
    tokens = door(operator="").tokens
    assert tokens.identity(token(role="operator")).role is Role.CALLER
    assert tokens.identity(token(role="")).role is Role.CALLER


def test_a_token_ends_with_its_time_and_the_leeway_also_when_it_is_remembered(door):
    opened = door(leeway_s=30.0)
    said = token()
    opened.now = NOW + 629
    assert opened.tokens.identity(said).tenant == "search"
    opened.now = NOW + 631
    assert opened.refuses(said) == "the token's time is over"
    assert opened.refuses(said) == "the token's time is over"


def test_a_token_that_begins_later_is_refused_until_then(door):
    opened = door(leeway_s=0.0)
    said = token(nbf=NOW + 100)
    assert opened.refuses(said) == "the token's time has not begun"
    opened.now = NOW + 101
    assert opened.tokens.identity(said).tenant == "search"


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"aud": "another"}, "the token is for another audience"),
        ({"aud": ["a", "b"]}, "the token is for another audience"),
        ({"iss": "https://issuer.test.evil"}, "the token is another issuer's"),
        ({"iss": None}, "the token does not say iss"),
        ({"aud": None}, "the token does not say aud"),
        ({"exp": None}, "the token does not say exp"),
        ({"exp": float("inf")}, "the token's 'exp' is no time"),
        ({"exp": True}, "the token's 'exp' is no time"),
        ({"exp": str(NOW + 600)}, "the token's 'exp' is no time"),
        ({"exp": NOW - 100}, "the token's time is over"),
        ({"nbf": []}, "the token's 'nbf' is no time"),
        ({"tenant": None}, "the token does not say in 'tenant' which tenant's it is"),
        ({"tenant": ["search"]}, "the token does not say in 'tenant' which tenant's it is"),
        ({"tenant": ""}, "the token's 'tenant' wants 1 to 128 bytes"),
        ({"tenant": "x" * 129}, "the token's 'tenant' wants 1 to 128 bytes"),
        ({"tenant": "a\nb"}, "the token does not say in 'tenant' which tenant's it is"),
    ],
)
def test_what_a_signed_token_lacks_is_told(door, claims, said):
    assert door().refuses(token(**claims)) == said


def unsigned(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", None, ["RS256"], {}, 1])
def test_a_token_that_nobody_signed_is_not_known(door, algorithm):
    said = unsigned({"alg": algorithm, "typ": "JWT", "kid": "r1"}, CLAIMS)
    assert "not known" in door().refuses(said)


@pytest.mark.parametrize("form", [PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1])
@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
@pytest.mark.parametrize("algorithms", [("RS256",), ("RS256", "HS256")])
def test_what_is_public_of_an_rsa_key_is_no_secret_of_an_hmac(door, form, encoding, algorithms):
    secret = RSA_KEY.public_key().public_bytes(encoding, form)
    body = unsigned({"alg": "HS256", "typ": "JWT", "kid": "r1"}, CLAIMS).rpartition(".")[0]
    signature = hmac.new(secret, body.encode(), hashlib.sha256).digest()
    said = f"{body}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
    assert "not known" in door(algorithms=algorithms).refuses(said)


def test_an_algorithm_that_is_not_allowed_is_not_known_though_the_key_is(door):
    assert "not known" in door().refuses(token(algorithm="RS512"))
    assert door(algorithms=["RS512"]).tokens.identity(token(algorithm="RS512")).tenant == "search"


def test_a_secret_serves_where_it_is_allowed(door):
    key = {"kty": "oct", "kid": "s1", "k": base64.urlsafe_b64encode(SECRET).decode().rstrip("=")}
    tokens = door(key, algorithms=["HS256"]).tokens
    assert tokens.identity(token(SECRET, "HS256", "s1")).tenant == "search"


@pytest.mark.parametrize("header", ["jwk", "jku", "x5u", "x5c"])
def test_a_key_that_the_token_brings_along_is_not_asked(door, header):
    other = rsa.generate_private_key(65537, 2048)
    own = published("r1", other) if header == "jwk" else "https://evil.test/keys"
    said = jwt.encode(CLAIMS, other, algorithm="RS256", headers={"kid": "r1", header: own})
    assert "not known" in door().refuses(said)


def test_what_a_signer_calls_critical_and_nobody_knows_here_is_refused(door):
    said = jwt.encode(CLAIMS, RSA_KEY, algorithm="RS256", headers={"kid": "r1", "crit": ["b64"], "b64": True})
    assert "not known" in door().refuses(said)


def test_a_changed_claim_is_not_known(door):
    head, _, signature = token().split(".")
    body = base64.urlsafe_b64encode(json.dumps(CLAIMS | {"tenant": "other"}).encode()).decode().rstrip("=")
    assert "not known" in door().refuses(f"{head}.{body}.{signature}")


def test_without_a_kid_two_keys_of_a_kind_are_not_guessed_from(door):
    opened = door(published("r1", RSA_KEY), published("r2", rsa.generate_private_key(65537, 2048)))
    assert "not known" in opened.refuses(token(kid=None))
    assert "not known" in opened.refuses(token(kid="r3"))
    assert opened.tokens.identity(token(kid="r1")).tenant == "search"


@settings(max_examples=200)
@given(text=st.one_of(st.text(max_size=60), st.text("eyJ.-_ abc=\x00", max_size=60)))
def test_nothing_else_is_a_token(text, tmp_path_factory):
    path = written(tmp_path_factory.getbasetemp() / "fuzz.json", published("r1", RSA_KEY))
    config = JwtConfig(keys="k", issuer=ISSUER, audience=AUDIENCE)
    opened = Door(path, config)
    for said in (text, f"{text}.{EMPTY}.x", f"{token().partition('.')[0]}.{text}.{text}"):
        opened.refuses(said)


def test_keys_are_rotated_without_a_restart_and_what_the_old_one_signed_ends(door):
    opened = door()
    said = token()
    opened.tokens.identity(said)
    new = rsa.generate_private_key(65537, 2048)
    written(opened.path, published("r1", RSA_KEY), published("r2", new))
    assert "not known" in opened.refuses(token(new, kid="r2"))
    opened.at += LOOK_S
    assert opened.tokens.identity(token(new, kid="r2")).tenant == opened.tokens.identity(said).tenant
    written(opened.path, published("r2", new))
    opened.at += LOOK_S
    assert "not known" in opened.refuses(said)


def test_keys_that_were_spoilt_by_an_edit_change_nothing(door):
    opened = door()
    opened.path.write_text("{")
    opened.at += LOOK_S
    with capture_logs() as logs:
        assert opened.tokens.identity(token()).tenant == "search"
    assert [line["event"] for line in logs] == [
        "the keys of web tokens cannot be read; what held before holds"
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300)
@given(
    claims=st.dictionaries(st.sampled_from([*CLAIMS, "nbf", "iat", "role", "jti", "sub"]), JSON, max_size=4)
)
def test_any_claims_of_the_issuer_are_somebodys_or_refused(claims, tmp_path_factory):
    path = written(tmp_path_factory.getbasetemp() / "claims.json", published("d1", ED_KEY))
    opened = Door(path, JwtConfig(keys="k", issuer=ISSUER, audience=AUDIENCE))
    body = f"{unsigned({'alg': 'EdDSA', 'kid': 'd1'}, CLAIMS | claims).rpartition('.')[0]}"
    said = f"{body}.{base64.urlsafe_b64encode(ED_KEY.sign(body.encode())).decode().rstrip('=')}"
    with suppress(Unauthenticated):
        assert opened.tokens.identity(said).tenant == (CLAIMS | claims)["tenant"]


def test_tokens_of_the_file_and_web_tokens_stand_beside_each_other(door, tmp_path):
    path = tmp_path / "tokens.toml"
    path.write_text(entry_text(hash_of("of-a"), "a", "operator", ""))
    opened = door()
    both = Guard(path, web_tokens=opened.tokens)
    assert both.caller("Bearer of-a") == Identity("a", Role.OPERATOR)
    assert both.caller(f"Bearer {token()}") == Identity("search")
    with pytest.raises(Forbidden):
        both.operator(f"Bearer {token()}")
    alone = Guard(None, web_tokens=opened.tokens)
    assert alone.on
    for said in ("", "Bearer of-a", f"Basic {token()}"):
        with pytest.raises(Unauthenticated):
            alone.caller(said)
