"""A certificate that does not fit is refused by name; one that changes is followed, and a spoilt one is not."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from router.auth.certificate_files import CertificateFiles, admin_files_of, files_of, read_pair
from router.auth.certificates import Certificates
from router.auth.followed import LOOK_S
from router.config_access import AdminTlsConfig, TlsConfig
from router.errors import ConfigError


def refused(files: CertificateFiles) -> str:
    with pytest.raises(ConfigError) as caught:
        read_pair(files, time.time())
    return str(caught.value)


@pytest.fixture(scope="module")
def pair_of_any(authorities: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Files that a test may change, and what is in them."""
    folder = tmp_path_factory.mktemp("any")
    made = authorities(folder, "any")
    certificate, key = made.issue("server")
    files = CertificateFiles(certificate, key, made.ca)
    return files, [path.read_bytes() for path in (files.certificate, files.key, made.ca)]


@pytest.fixture
def house(authority: Callable[[str], Any]) -> Any:
    return authority("house")


def test_a_pair_that_fits_is_read_with_its_end(house):
    pair = read_pair(CertificateFiles(*house.issue("server", ends=5.0)), time.time())
    assert pair.until == pytest.approx(time.time() + 5 * 86_400, abs=60)


def test_a_file_that_is_not_there_is_named(house, tmp_path):
    certificate, key = house.issue("server")
    gone = tmp_path / "gone.pem"
    assert refused(CertificateFiles(gone, key)) == f"{gone}: cannot be read: No such file or directory"
    assert refused(CertificateFiles(certificate, gone)).startswith(f"{gone}: cannot be read")
    assert refused(CertificateFiles(certificate, key, gone)).startswith(f"{gone}: cannot be read")


def test_the_key_of_another_certificate_is_refused(house):
    certificate, _ = house.issue("server")
    _, key = house.issue("other")
    assert (
        refused(CertificateFiles(certificate, key)) == f"{key}: is not the key of {certificate} (CN=server)"
    )


def test_a_certificate_that_is_over_is_refused_with_its_end(house):
    certificate, key = house.issue("server", begins=-3.0, ends=-1.0)
    text = refused(CertificateFiles(certificate, key))
    assert text.startswith(f"{certificate}: the time of CN=server is over since 20")


def test_a_certificate_whose_time_has_not_begun_is_refused(house):
    certificate, key = house.issue("server", begins=1.0)
    assert "the time of CN=server begins only at 20" in refused(CertificateFiles(certificate, key))


def test_an_authority_in_the_chain_that_is_over_is_refused(house):
    certificate, key = house.issue("server")
    over, _ = house.issue("between", begins=-3.0, ends=-1.0)
    certificate.write_bytes(certificate.read_bytes() + over.read_bytes())
    assert "the time of CN=between is over" in refused(CertificateFiles(certificate, key))


@pytest.mark.parametrize(
    "text", [b"", b"\x00\xff", b"-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----"]
)
def test_what_is_no_pem_is_refused(house, text):
    certificate, key = house.issue("server")
    spoilt = certificate.with_name("spoilt.pem")
    spoilt.write_bytes(text)
    assert refused(CertificateFiles(spoilt, key)).startswith(f"{spoilt}: is not a certificate in PEM")
    assert refused(CertificateFiles(certificate, spoilt)).startswith(f"{spoilt}: is not a key in PEM")
    assert refused(CertificateFiles(certificate, key, spoilt)).startswith(f"{spoilt}: is not a certificate")


def test_text_between_certificates_of_authorities_is_left_out(house):
    certificate, key = house.issue("server")
    text = house.ca.read_bytes()
    house.ca.write_bytes("Häuser\n".encode("latin-1") + text)
    assert read_pair(CertificateFiles(certificate, key, house.ca), time.time()).client_ca == text


def test_a_key_with_a_password_is_refused(house):
    certificate, key = house.issue("server")
    private = load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open"))
    )
    assert "the key has a password" in refused(CertificateFiles(certificate, key))


def test_admin_has_what_is_its_own_and_the_rest_of_tls():
    config = TlsConfig(certificate="c", key="k", client_ca="a", admin=AdminTlsConfig(client_ca="operators"))
    folder = Path("/etc")
    assert files_of(config, folder) == CertificateFiles(folder / "c", folder / "k", folder / "a")
    assert admin_files_of(config, folder) == CertificateFiles(
        folder / "c", folder / "k", folder / "operators"
    )


class Following:
    """Certificates whose clock the test moves."""

    def __init__(self, files: CertificateFiles) -> None:
        self.at = 0.0
        self.certificates = Certificates(files, time.time, lambda: self.at)

    def later(self) -> bytes:
        self.at += LOOK_S
        return self.certificates.now().certificate


def test_a_new_pair_is_shown_once_the_files_were_looked_at(house):
    certificate, key = house.issue("server")
    following = Following(CertificateFiles(certificate, key))
    old = certificate.read_bytes()
    house.issue("server")
    assert following.certificates.now().certificate == old
    assert following.later() == certificate.read_bytes() != old


def test_half_a_rotation_changes_nothing_until_the_other_half_is_there(house):
    certificate, key = house.issue("server")
    following = Following(CertificateFiles(certificate, key))
    old, old_key = certificate.read_bytes(), key.read_bytes()
    house.issue("server")
    new_key = key.read_bytes()
    key.write_bytes(old_key)
    with capture_logs() as logs:
        assert following.later() == following.later() == old
    assert [line["event"] for line in logs] == ["the new certificate cannot be shown; what held before holds"]
    assert "is not the key of" in logs[0]["error"]
    key.write_bytes(new_key)
    assert following.later() == certificate.read_bytes()


def test_a_rotation_to_a_certificate_that_is_over_is_not_followed(house):
    certificate, key = house.issue("server")
    following = Following(CertificateFiles(certificate, key))
    old = certificate.read_bytes()
    house.issue("server", begins=-3.0, ends=-1.0)
    assert following.later() == old
    certificate.unlink()
    assert following.later() == old


@given(st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=3), st.floats(0, 1)), min_size=3, max_size=3))
def test_no_change_of_the_files_ends_otherwise_than_in_a_pair_or_a_configuration_error(pair_of_any, changes):
    files, texts = pair_of_any
    paths = (files.certificate, files.key, files.client_ca)
    for path, text, (at, between, to) in zip(paths, texts, changes, strict=True):
        first, last = sorted((int(at * len(text)), int(to * len(text))))
        path.write_bytes(text[:first] + between + text[last:])
    with suppress(ConfigError):
        read_pair(files, time.time())
