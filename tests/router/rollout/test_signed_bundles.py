"""With `bundle_signers` a bundle is loaded if one of them signed it as it lies there, and refused if not."""

from __future__ import annotations

import base64
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from predictors.bundle_files import CARD
from predictors.errors import BundleError
from router.client import ApportionError
from router.configuration.file import load
from router.errors import ConfigError
from router.rollout.releases import BundleState
from router.rollout.shelf import Shelf
from router.rollout.signature import SIGNATURE, Signers, read_signers, sign


def key_pair(folder: Path, name: str, key: Any = None) -> tuple[Path, Path]:
    private = key or Ed25519PrivateKey.generate()
    paths = folder / f"{name}.key", folder / f"{name}.pub"
    paths[0].write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    paths[1].write_bytes(public)
    return paths


@pytest.fixture
def ours(tmp_path: Path) -> tuple[Path, Path]:
    """A private and a public key."""
    return key_pair(tmp_path, "ours")


@pytest.fixture
def signed(shelf: Shelf, ours: tuple[Path, Path]) -> Shelf:
    """A shelf of which the oldest bundle is signed."""
    sign(shelf.place(shelf.versions()[-1]), ours[0])
    return Shelf(shelf.folder, Signers(ours[1]))


def refusal(shelf: Shelf, version: str) -> str:
    with pytest.raises(BundleError) as refused:
        shelf.load(version)
    return str(refused.value)


def test_a_signed_bundle_is_loaded_and_others_are_not(signed):
    other, *_, ours = signed.versions()
    assert signed.load(ours).version == ours
    assert "is not signed, and bundle_signers wants it" in refusal(signed, other)


def test_without_signers_no_signature_is_asked_for(signed):
    assert [Shelf(signed.folder).load(version).version for version in signed.versions()] == signed.versions()


def test_the_signature_of_another_key_or_bundle_is_refused(signed, ours, tmp_path):
    other, *_, mine = signed.versions()
    sign(signed.place(other), key_pair(tmp_path, "theirs")[0])
    assert "was not signed by any of" in refusal(signed, other)
    shutil.copy(signed.place(mine) / SIGNATURE, signed.place(other) / SIGNATURE)
    assert "was not signed by any of" in refusal(signed, other)


def test_a_card_or_file_that_was_changed_after_it_was_signed_is_refused(signed):
    version = signed.versions()[-1]
    card = signed.place(version) / CARD
    text = card.read_text()
    card.write_text(text.replace('"', ' "', 1))
    assert "was not signed by any of" in refusal(signed, version)
    card.write_text(text)
    arrays = card.with_name("query.npz")
    arrays.write_bytes(arrays.read_bytes() + b"x")
    assert "checksum mismatch" in refusal(signed, version)


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b"not base64!", base64.b64encode(b"short")])
def test_what_is_no_signature_is_refused(signed, text):
    version = signed.versions()[-1]
    (signed.place(version) / SIGNATURE).write_bytes(text)
    assert SIGNATURE in refusal(signed, version) or "was not signed" in refusal(signed, version)


def test_keys_are_changed_while_it_serves(signed, ours, tmp_path):
    version = signed.versions()[-1]
    _, public = key_pair(tmp_path, "theirs")
    both = public.read_bytes() + ours[1].read_bytes()
    ours[1].write_bytes(public.read_bytes())
    assert "was not signed by any of" in refusal(signed, version)
    ours[1].write_bytes(both)
    assert signed.load(version).version == version


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")
def test_openssl_makes_the_same_signature(signed, ours):
    folder = signed.place(signed.versions()[-1])
    command = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", str(ours[0]), "-in", str(folder / CARD)]
    made = subprocess.run(command, capture_output=True, check=True).stdout
    assert base64.b64encode(made) == (folder / SIGNATURE).read_bytes().strip()


def test_a_damaged_bundle_is_not_signed(shelf, ours):
    folder = shelf.place(shelf.versions()[0])
    (folder / "query.npz").write_bytes(b"")
    with pytest.raises(BundleError, match="checksum mismatch"):
        sign(folder, ours[0])
    assert not (folder / SIGNATURE).exists()


def test_keys_that_are_none_are_refused_by_name(shelf, ours, tmp_path):
    folder, gone = shelf.place(shelf.versions()[0]), tmp_path / "gone"
    private, public = key_pair(tmp_path, "ec", ec.generate_private_key(ec.SECP256R1()))
    for key, said in (
        (gone, "cannot be read"),
        (ours[1], "is not a private key"),
        (private, "wants an Ed25519"),
    ):
        with pytest.raises(ConfigError, match=said):
            sign(folder, key)
    for key, said in (
        (gone, "cannot be read"),
        (ours[0], "wants public Ed25519"),
        (public, "wants public Ed25519"),
    ):
        with pytest.raises(ConfigError, match=said):
            read_signers(key)


@given(st.binary(max_size=120))
def test_any_bytes_are_signers_or_a_configuration_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.pub"
    for text in (
        data,
        b"-----BEGIN PUBLIC KEY-----\n" + base64.b64encode(data) + b"\n-----END PUBLIC KEY-----\n",
    ):
        path.write_bytes(text)
        with pytest.raises(ConfigError):
            read_signers(path)


async def test_a_service_refuses_to_promote_what_nobody_signed_and_goes_on(serving, signed):
    other, *_, version = signed.versions()
    async with serving(top='bundle_signers = "ours.pub"') as house:
        with pytest.raises(ApportionError) as refused:
            await house.admin.promote_bundle(other, BundleState.ACTIVE)
        assert "is not signed" in str(refused.value)
        promoted = await house.admin.promote_bundle(version, BundleState.ACTIVE)
        assert promoted.state is BundleState.ACTIVE
        assert (await house.client.generate("2 + 2?")).decision.bundle == version


def test_the_configured_bundle_and_the_keys_are_looked_at_before_the_start(tmp_path, signed, ours):
    path = tmp_path / "router.toml"
    text = """bundle_signers = "{keys}"
[backends.small]
kind = "scripted"
[[plans]]
name = "small"
stages = [{{ backend = "small" }}]
[store]
sqlite = ":memory:"
"""
    path.write_text(text.format(keys="gone.pub"))
    with pytest.raises(ConfigError, match=r"bundle_signers: .*gone\.pub: cannot be read"):
        load(path, serving=True)
    path.write_text(f'bundle = "bundles/{signed.versions()[0]}"\n' + text.format(keys="ours.pub"))
    command = [sys.executable, "-m", "router", "serve", "--config", str(path), "--listen", "127.0.0.1:0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, "is not signed" in ended.stderr) == (1, True), ended.stderr


def test_the_command_signs_a_folder(shelf, ours):
    folder = shelf.place(shelf.versions()[0])
    command = [sys.executable, "-m", "router", "bundles", "sign", str(folder)]
    half = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (half.returncode, "--signing-key" in half.stderr) == (1, True)
    done = subprocess.run(
        [*command, "--signing-key", str(ours[0])], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == f"signed: {folder / SIGNATURE}\n", done.stderr
    assert Shelf(shelf.folder, Signers(ours[1])).load(folder.name).version == folder.name
