"""The file of tokens: which hashes are whose, and until when.

    [[tokens]]
    sha256 = "9f86d0…"          # of the token, in hex; the token itself is kept by its holder alone
    tenant = "search"
    role = "caller"             # caller | operator
    until = "2027-01-31"        # UTC, exclusive; leave it out for no end

A token is 256 bits of chance, so that a plain hash of it can be neither guessed nor turned round. To rotate one, add
the new one, let its holder change over, take the old one out: no restart.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from router.auth.identity import Identity, Role
from router.errors import ConfigError

PREFIX = "apn_"  # so that scanners of leaked secrets can find one
BYTES = 32
MOST_TENANT_BYTES = 128
_HASH = re.compile(r"[0-9a-f]{64}")


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of [[tokens]]."""

    sha256: str
    tenant: str
    role: Literal["caller", "operator"] = "caller"
    until: str = ""


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    tokens: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose a token is, and when it ends (seconds since the epoch)."""

    identity: Identity
    until: float = math.inf


def new_token() -> str:
    """A token that nobody had."""
    return PREFIX + secrets.token_urlsafe(BYTES)


def hash_of(token: str) -> str:
    """What the file keeps of it: SHA-256, 64 hex digits."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def entry_text(sha256: str, tenant: str, role: str, until: str) -> str:
    """The entry as the file has it. Raises `ConfigError` for what it could not have."""
    _moment("the token", until)
    if not 0 < len(tenant.encode()) <= MOST_TENANT_BYTES or not tenant.isprintable():
        raise ConfigError(
            f"tenant wants 1 to {MOST_TENANT_BYTES} bytes of printable text, got {tenant[:80]!r}"
        )
    values = {"sha256": sha256, "tenant": tenant, "role": role} | ({"until": until} if until else {})
    lines = (f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items())
    return "\n".join(("[[tokens]]", *lines, "", ""))


def read_tokens(path: Path) -> Mapping[str, Holder]:
    """Hash -> holder. Raises `ConfigError` naming the file and the entry."""
    try:
        document = msgspec.convert(tomllib.loads(path.read_text("utf-8")), Document)
    except (OSError, ValueError, RecursionError) as error:  # of UTF-8, of TOML, of the shape, of nesting
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{path}: {why}") from error
    found: dict[str, Holder] = {}
    for number, entry in enumerate(document.tokens):
        where = f"{path}: tokens[{number}]"
        if not _HASH.fullmatch(entry.sha256):
            raise ConfigError(
                f"{where}: sha256 wants 64 hex digits in lower case; `apportion token` makes them"
            )
        if entry.sha256 in found:
            raise ConfigError(f"{where}: the same sha256 stands twice")
        if not 0 < len(entry.tenant.encode()) <= MOST_TENANT_BYTES:
            raise ConfigError(f"{where}: tenant wants 1 to {MOST_TENANT_BYTES} bytes")
        found[entry.sha256] = Holder(Identity(entry.tenant, Role(entry.role)), _moment(where, entry.until))
    return found


def _moment(where: str, until: str) -> float:
    if not until:
        return math.inf
    try:
        moment = datetime.fromisoformat(until)
    except ValueError:
        raise ConfigError(
            f'{where}: until wants "2027-01-31" or "2027-01-31T12:00:00Z", got {until!r}'
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
