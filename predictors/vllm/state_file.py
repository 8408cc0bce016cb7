"""One sample's reduced states as a file: a short JSON header, then float16 numbers; found by key, whole or not there.

Written beside its name and renamed, so a reader needs no lock. Names are hashes: of the tenant for the folder, of the
key for the file, so that neither a client's text nor a path of its choosing ever reaches the file system.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

MAGIC = b"APH1"
SUFFIX = ".states"
LARGEST = 4 * 1024 * 1024  # bytes that a reader accepts
_LONGEST_HEADER = 16 * 1024
_FIXED = struct.Struct("<4sI")  # magic, bytes of the header


@dataclass(frozen=True, slots=True)
class States:
    """`values` holds `len(pieces)` vectors of `width` little-endian float16, one after the other."""

    pieces: tuple[tuple[str, int], ...]  # (part, layer); part: prompt_last, …, value_mark:<position>
    width: int
    prompt_tokens: int
    answer_tokens: int  # those with a state: the last one generated was never read by the model
    values: bytes = b""


def tenant_folder(root: Path, tenant: str) -> Path:
    """Where a tenant's files are."""
    return root / blake2b(tenant.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def state_path(root: Path, tenant: str, key: str, index: int = 0) -> Path:
    """The file of a request's `index`-th sample."""
    name = blake2b(f"{key}/{index}".encode(), digest_size=16).hexdigest()
    return tenant_folder(root, tenant) / (name + SUFFIX)


def encoded(states: States) -> bytes:
    """The file's content."""
    header = json.dumps(
        {
            "pieces": states.pieces,
            "width": states.width,
            "prompt_tokens": states.prompt_tokens,
            "answer_tokens": states.answer_tokens,
        },
        separators=(",", ":"),
    ).encode()
    return _FIXED.pack(MAGIC, len(header)) + header + states.values


def decoded(content: bytes) -> States:
    """The inverse of `encoded`; raises `ValueError` for anything else."""
    if len(content) < _FIXED.size:
        raise ValueError(f"states: {len(content)} bytes are too few")
    magic, length = _FIXED.unpack_from(content)
    if magic != MAGIC or length > _LONGEST_HEADER:
        raise ValueError("states: not a file of reduced states")
    try:
        header = json.loads(content[_FIXED.size : _FIXED.size + length])
        states = States(
            tuple((str(part), int(layer)) for part, layer in header["pieces"]),
            int(header["width"]),
            int(header["prompt_tokens"]),
            int(header["answer_tokens"]),
            content[_FIXED.size + length :],
        )
    except (KeyError, TypeError, UnicodeError, OverflowError, RecursionError) as error:
        raise ValueError(f"states: a broken header: {error}") from error
    if len(states.values) != 2 * states.width * len(states.pieces):
        raise ValueError(
            f"states: {len(states.values)} bytes for {len(states.pieces)} pieces of width {states.width}"
        )
    return states


def read_states(path: Path) -> States | None:
    """What lies at `path`, None while nothing does; raises `ValueError` for a file that is not of this kind."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if len(content) > LARGEST:
        raise ValueError(f"states: more than {LARGEST} bytes")
    return decoded(content)


def take_states(path: Path) -> States | None:
    """`read_states`, and the file is gone: nobody else will ask for it."""
    try:
        found = read_states(path)
    except ValueError:
        path.unlink(missing_ok=True)
        raise
    if found is not None:
        path.unlink(missing_ok=True)
    return found
