"""Inputs that nobody meant: damaged bytes, JSON with strange values in strange places, messages with all fields at their limits."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

Make = Callable[[Random], bytes]

NUMBERS = (
    0,
    1,
    -1,
    2,
    16,
    255,
    256,
    65_536,
    2**31 - 1,
    2**31,
    -(2**31),
    2**32,
    2**53,
    2**63 - 1,
    2**63,
    2**64,
    10**30,
)
REALS = (
    0.0,
    -0.0,
    0.5,
    1.0,
    -1.0,
    1e-300,
    1e300,
    1e308,
    -1e308,
    math.nan,
    math.inf,
    -math.inf,
    253_402_300_800.0,
)
TEXTS = (
    "", " ", "0", "\x00", "\n", "..", "../../etc/passwd", "a" * 300, "é" * 200, "\u202e", "\ud800", "{}", "null",
    "%s%n", "a/b", "=1+1", "\U0001f600", "𝟘", "٣", "user", "true", "1e999", "-", "'; --",
)  # fmt: skip
BYTES = (
    b"\x00", b"\xff", b"\x7f", b"\x80", b"\xff\xff\xff\xff", b"\n", b"\r\n", b"\n\n", b"\xc0\x80", b"\xed\xa0\x80",
    b"[" * 4000, b'{"a":' * 2000, b"NaN", b"1e999", b"-0", b"9" * 400, b'"', b"\\", b"\\ud800", b"," * 50, b"=", b"[[", b"]]",
)  # fmt: skip
DEEPEST = 30


def damaged(seeds: Sequence[bytes], words: Sequence[bytes] = ()) -> Make:
    """One of `seeds` with up to a dozen places changed, cut, doubled, swapped or filled with another's bytes."""
    odd = (*BYTES, *words)

    def make(rng: Random) -> bytes:
        raw = bytearray(rng.choice(seeds))
        for _ in range(1 + min(11, int(rng.expovariate(0.6)))):
            at = rng.randrange(len(raw) + 1)
            to = min(len(raw), at + 1 + int(rng.expovariate(0.1)))
            other = rng.choice(seeds)
            begin = rng.randrange(len(other) + 1)
            filling = (
                b"",
                raw[at:to] * rng.randint(2, 4),
                rng.choice(odd),
                rng.choice(odd) + raw[at:to],
                bytes((rng.randrange(256),)) + raw[at + 1 : to],
                bytes((raw[at] ^ 1 << rng.randrange(8),)) + raw[at + 1 : to] if at < len(raw) else b"",
                other[begin : begin + rng.randrange(64)],
                struct.pack("<I", rng.choice(NUMBERS) & 0xFFFFFFFF) + raw[at + 4 : to],
            )
            raw[at:to] = rng.choice(filling)
            if rng.random() < 0.03:
                del raw[at:]
        return bytes(raw)

    return make


def strange_json(seeds: Sequence[Any]) -> Make:
    """One of `seeds` (decoded JSON) with up to six values replaced, taken out, renamed or wrapped; some damaged, some as it is."""
    written = [json.dumps(seed).encode() for seed in seeds]
    bytewise = damaged(written)

    def make(rng: Random) -> bytes:
        if rng.random() < 0.2:
            return bytewise(rng)
        value = json.loads(rng.choice(written))
        if rng.random() < 0.1:
            return json.dumps(value).encode()
        for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
            value = strange(rng, value)
        return json.dumps(value).encode()

    return make


def strange(rng: Random, value: Any, depth: int = 0) -> Any:
    """`value` with one place in it that is not what it was."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        found = rng.random()
        if found < 0.08:
            return {name: item for name, item in value.items() if name != key}
        if found < 0.16:
            return value | {odd_text(rng): value[key]}
        return value | {key: strange(rng, value[key], depth + 1)}
    if isinstance(value, list) and value and rng.random() < 0.85:
        at = rng.randrange(len(value))
        if rng.random() < 0.15:
            return value[:at] + value[at : at + 1] * rng.randint(0, 3) + value[at + 1 :]
        return [*value[:at], strange(rng, value[at], depth + 1), *value[at + 1 :]]
    return odd_value(rng, value)


def odd_value(rng: Random, instead_of: Any = None) -> Any:
    """Something else than what stood there, now and then it itself inside of a list or an object."""
    deep: Any = instead_of
    for _ in range(rng.choice((1, 5, 200)) if rng.random() < 0.1 else 0):
        deep = [deep]
    found: tuple[Any, ...] = (
        rng.choice((None, True, False)),
        rng.choice(NUMBERS) * rng.choice((1, -1)),
        rng.choice(REALS),
        odd_text(rng),
        instead_of + odd_text(rng) if isinstance(instead_of, str) else odd_text(rng),
        rng.choice(([], {}, [None], {"": None})),
        [instead_of] * rng.randint(1, 3),
        {odd_text(rng): instead_of},
        deep,
    )
    return rng.choice(found)


def odd_text(rng: Random) -> str:
    """Of any length, of any letters."""
    if rng.random() < 0.7:
        return rng.choice(TEXTS)
    return "".join(
        chr(rng.choice((rng.randrange(128), rng.randrange(0x300), 0x4E00))) for _ in range(rng.randrange(20))
    )


def filled(kind: type[Message], names: Sequence[str] = ()) -> Make:
    """A message of the kind with fields at their limits; `names` are texts that mean something to who reads it."""

    def make(rng: Random) -> bytes:
        message = kind()
        _fill(rng, message, names, 0)
        return message.SerializeToString()

    return make


def _fill(rng: Random, message: Message, names: Sequence[str], depth: int) -> None:
    share = rng.choice((0.1, 0.3, 0.7))
    for field in message.DESCRIPTOR.fields:
        if rng.random() > share or depth > DEEPEST:
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            _fill_map(rng, message, field, names, depth)
        elif field.is_repeated:
            for _ in range(rng.choice((1, 1, 2, 5))):
                place = getattr(message, field.name)
                if field.message_type is None:
                    place.append(_scalar(rng, field, names))
                else:
                    _fill(rng, place.add(), names, depth + 1)
        elif field.message_type is not None:
            inner = getattr(message, field.name)
            inner.SetInParent()
            _fill(rng, inner, names, depth + 1)
        else:
            setattr(message, field.name, _scalar(rng, field, names))


def _fill_map(rng: Random, message: Message, field: Any, names: Sequence[str], depth: int) -> None:
    kind: Any = field.message_type
    key, value, place = kind.fields_by_name["key"], kind.fields_by_name["value"], getattr(message, field.name)
    for _ in range(rng.randint(1, 3)):
        if value.message_type is not None:
            _fill(rng, place[_scalar(rng, key, names)], names, depth + 1)
        else:
            place[_scalar(rng, key, names)] = _scalar(rng, value, names)


def _scalar(rng: Random, field: Any, names: Sequence[str]) -> Any:
    types = FieldDescriptor
    if field.type == types.TYPE_STRING:
        text = rng.choice(names) if names and rng.random() < 0.5 else odd_text(rng)
        return text.encode("utf-8", "ignore").decode()
    if field.type == types.TYPE_BYTES:
        return rng.choice((b"", b"\x00" * 9, rng.randbytes(40)))
    if field.type == types.TYPE_BOOL:
        return rng.random() < 0.5
    if field.type == types.TYPE_ENUM:
        known = [value.number for value in field.enum_type.values]
        return rng.choice((*known, *known, *known, 99, -1))
    if field.type in (types.TYPE_DOUBLE, types.TYPE_FLOAT):
        return rng.choice(REALS)
    wide = field.type in (
        types.TYPE_INT64,
        types.TYPE_SINT64,
        types.TYPE_UINT64,
        types.TYPE_FIXED64,
        types.TYPE_SFIXED64,
    )
    signed = field.type not in (types.TYPE_UINT32, types.TYPE_UINT64, types.TYPE_FIXED32, types.TYPE_FIXED64)
    bits = (64 if wide else 32) - signed
    value = rng.choice(NUMBERS) % 2**bits
    return -value if signed and rng.random() < 0.3 else value
