"""Who made a bundle: an Ed25519 signature (RFC 8032) of its card, which holds the checksums of all its files.

`card.sig` beside `card.json` is that signature in Base64; `openssl pkeyutl -sign -rawin` makes the same one. The
public keys are read with every bundle, so that they can be changed while the service serves.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from predictors.bundle_files import CARD, load_bundle
from predictors.errors import BundleError
from router.errors import ConfigError

if TYPE_CHECKING:  # OpenSSL's bindings, imported where somebody signs
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SIGNATURE = "card.sig"
_PUBLIC = re.compile(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)


def sign(folder: Path, key: Path) -> Path:
    """Sign the bundle in a folder with the private key in a file (PEM); returns the signature's file.

    Raises `BundleError` for a bundle that is damaged, `ConfigError` for a key that is none.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private = load_pem_private_key(key.read_bytes(), None)
    except OSError as error:
        raise ConfigError(f"{key}: cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{key}: is not a private key in PEM without a password: {error}") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise ConfigError(f"{key}: wants an Ed25519 key: openssl genpkey -algorithm ed25519 -out {key}")
    signed: list[bytes] = []
    load_bundle(folder, check=lambda _, card: signed.append(card))  # what is damaged is not vouched for
    place = folder / SIGNATURE
    draft = place.with_name(f".{SIGNATURE}.draft")
    draft.write_bytes(base64.b64encode(private.sign(signed[0])) + b"\n")
    draft.replace(place)
    return place


def read_signers(path: Path) -> Sequence[Ed25519PublicKey]:
    """The public keys in a file, PEM behind PEM. Raises `ConfigError`."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        found = [load_pem_public_key(text) for text in _PUBLIC.findall(path.read_bytes())]
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path}: is not a public key in PEM: {error}") from error
    keys = [key for key in found if isinstance(key, Ed25519PublicKey)]
    if not keys or len(keys) < len(found):
        raise ConfigError(f"{path}: wants public Ed25519 keys in PEM: openssl pkey -in KEY -pubout")
    return keys


@dataclass(frozen=True, slots=True)
class Signers:
    """Those whose bundles are loaded; called with a bundle's folder and the bytes of its card."""

    path: Path  # of the public keys

    def __call__(self, folder: Path, card: bytes) -> None:
        """Raises `BundleError` where none of them signed it."""
        from cryptography.exceptions import InvalidSignature

        place = folder / SIGNATURE
        try:
            signature = base64.b64decode(place.read_bytes().strip(), validate=True)
            keys = read_signers(self.path)
        except FileNotFoundError:
            raise BundleError(
                f"{folder}: is not signed, and bundle_signers wants it; `apportion bundles sign {folder}`"
            ) from None
        except (OSError, binascii.Error, ConfigError) as error:
            raise BundleError(f"{place}: cannot be checked: {error}") from error
        for key in keys:
            try:
                key.verify(signature, card)
            except InvalidSignature:
                continue
            return
        raise BundleError(f"{folder}: its {CARD} was not signed by any of {self.path}")
