"""How a backend's server is reached, as router.toml says it: certificates and proxies, checked before anything starts."""

from __future__ import annotations

import pytest

from router.configuration.file import load
from router.errors import ConfigError

TAIL = '[[plans]]\nname = "one"\nstages = [{ backend = "small" }]\n'
HTTPS = '[backends.small]\nurls = ["https://127.0.0.1:1"]\nmodel = "m"\n'
HTTP = HTTPS.replace("https", "http")

WRONG = [
    (HTTPS + 'ca_file = "no.pem"\n', "backends.small.ca_file:", "no.pem: No such file or directory"),
    (HTTPS + 'ca_file = "router.toml"\n', "backends.small.ca_file:", "holds no certificate in PEM"),
    (HTTPS + "ca_file = true\n", "backends.small.ca_file: wants text in quotes", "got true"),
    (HTTPS + 'proxy = "proxy:3128"\n', "backends.small.proxy: wants http://HOST:PORT", "'proxy:3128'"),
    (HTTPS + 'proxy = "socks5://p:1"\n', "backends.small.proxy: wants http://HOST:PORT", "socks5"),
    (
        HTTPS + 'proxy = "http://me:secret@p:1"\n',
        "backends.small.proxy: holds a password",
        "in proxy_auth_env",
    ),
    (HTTPS + 'proxy_auth_env = "LOGIN"\n', "backends.small.proxy_auth_env: means nothing without proxy", ""),
    (
        '[backends.small]\nkind = "scripted"\nproxy = "http://p:1"\n',
        "means nothing to kind 'scripted'",
        "vllm",
    ),
]


@pytest.mark.parametrize(("text", "key", "words"), WRONG, ids=[f"{key} {words}" for _, key, words in WRONG])
def test_what_is_wrong_is_said_with_its_key(tmp_path, text, key, words):
    (tmp_path / "router.toml").write_text(text + TAIL)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "router.toml")
    assert key in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_certificates_without_https_are_a_mistake(tmp_path, certificate):
    (tmp_path / "router.toml").write_text(f'{HTTP}ca_file = "{certificate}"\n{TAIL}')
    with pytest.raises(ConfigError, match="ca_file: is about certificates, and no url begins with https://"):
        load(tmp_path / "router.toml")


def test_a_way_that_can_be_gone_is_read_and_its_files_are_where_the_configuration_is(tmp_path, certificate):
    (tmp_path / "ca.pem").write_bytes(certificate.read_bytes())
    way = 'ca_file = "ca.pem"\nproxy = "http://p:3128"\nproxy_auth_env = "LOGIN"\n'
    (tmp_path / "router.toml").write_text(HTTPS + way + TAIL)
    small = load(tmp_path / "router.toml").backends["small"]
    assert (small.ca_file, small.proxy, small.proxy_auth_env) == ("ca.pem", "http://p:3128", "LOGIN")
