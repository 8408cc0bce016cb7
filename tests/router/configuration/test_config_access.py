"""[tls] and [auth.jwt] in router.toml: half a pair, what would have no effect, and files that cannot be served are problems."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from router.configuration.file import load
from router.errors import ConfigError

TEXT = """
[store]
sqlite = ":memory:"
[backends.one]
kind = "scripted"
[[plans]]
name = "one"
stages = [{ backend = "one" }]
"""
JWT = '[auth.jwt]\nkeys = "jwks.json"\n'


@pytest.fixture
def loaded(tmp_path: Path) -> Any:
    """Loads a configuration with this text more."""

    def load_with(text: str) -> Any:
        path = tmp_path / "router.toml"
        path.write_text(TEXT + text)
        return load(path, serving=True)

    return load_with


def problem(loaded: Any, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(text)
    return str(caught.value)


def test_files_that_fit_are_taken(loaded, authority, tmp_path):
    certificate, key = authority("house").issue("server")
    folder = certificate.parent.relative_to(tmp_path)
    tls = loaded(f'[tls]\ncertificate = "{folder}/server.pem"\nkey = "{folder}/{key.name}"').tls
    assert (tls.certificate, tls.client_ca) == (f"{folder}/server.pem", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[tls]\ncertificate = "c.pem"', "tls.key: is missing: a certificate alone is no TLS"),
        ('[tls]\nkey = "k.pem"', "tls.certificate: is missing: a key alone is no TLS"),
        ('[tls]\nclient_ca = "a.pem"', "tls: certificate and key are missing: the ports would speak without"),
        ('[tls.admin]\nclient_ca = "a.pem"', "certificate and key are missing"),
        ('[tls.admin]\nkey = "k.pem"', "tls.admin.certificate: is missing"),
        ('[tls]\ncertificate = "c.pem"\nkey = "k.pem"', "c.pem: cannot be read: No such file or directory"),
        (
            '[server]\nhealth_listen = "0.0.0.0:1"',
            "server.health_listen: '0.0.0.0:1' can be reached from other",
        ),
        ('[server]\nhealth_listen = "127.0.0.1:50051"', "is already the address of listen"),
    ],
)
def test_what_does_not_fit_is_named(loaded, text, said):
    assert said in problem(loaded, text)


def test_files_of_the_admin_port_are_read_too(loaded, authority, tmp_path):
    folder = authority("house").issue("server")[0].parent.relative_to(tmp_path)
    text = f'[tls]\ncertificate = "{folder}/server.pem"\nkey = "{folder}/server.key"\n'
    assert "tls.admin: " in problem(loaded, text + '[tls.admin]\nclient_ca = "gone.pem"')
