"""What a store gives back: rows, outcomes and spools, damaged in every way, are read, or refused as damaged."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from random import Random

import msgspec

from router.decisions.names import Names, to_value
from router.decisions.packed import pack, repeated, unpack
from router.decisions.rows import to_bytes, to_decision, to_outcome
from router.decisions.spool import Spool
from router.domain.decision import Decision
from router.errors import RouterError
from training.store_bench.made_rows import Traffic

OLD = Traffic().decision(3)


def test_rows_of_a_store(fuzz, mutations):
    names = Names()
    names.learn((number, to_value(text)) for number, text in enumerate(names.missing(repeated(OLD)), 1))
    rows = [pack(OLD, names), pack(dataclasses.replace(OLD, features=b"", samples=()), names), to_bytes(OLD)]
    value = msgspec.msgpack.decode(rows[0])
    bytewise = mutations.damaged(rows)

    def make(rng: Random):
        if rng.random() < 0.5:
            return bytewise(rng)
        row = list(value)
        at = rng.randrange(len(row))
        row[at] = mutations.strange(rng, row[at]) if rng.random() < 0.7 else rng.choice(row)
        try:
            return msgspec.msgpack.encode(row)
        except (OverflowError, UnicodeEncodeError):
            return bytewise(rng)

    def read(raw: bytes) -> None:
        assert isinstance(unpack("d", "t", 1.0, raw, names), Decision)

    fuzz(make, read, (msgspec.DecodeError, KeyError))


def test_outcomes_and_old_rows(fuzz, mutations):
    told = Traffic().told(3, value=True)
    make = mutations.damaged([to_bytes(told), to_bytes(OLD)])

    def read(raw: bytes) -> None:
        try:
            to_outcome(raw)
        except msgspec.DecodeError:
            to_decision(raw)

    fuzz(make, read, (msgspec.DecodeError,))


def test_spools_that_were_torn(fuzz, mutations, tmp_path):
    # in memory where that can be: a disk takes milliseconds to say that it has a record
    folder = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else tmp_path
    path, records = folder / f"spool-{os.getpid()}", [b"one", b"two" * 30, b""]
    spool = Spool(path)
    spool.append(records)
    spool.close()
    make = mutations.damaged([path.read_bytes()])

    def read(raw: bytes) -> None:
        path.write_bytes(raw)
        spool = Spool(path)
        try:
            found = list(spool)
            spool.append([b"more"])
            assert list(spool) == [*found, b"more"]
            if spool.torn:
                raise RouterError("torn")
        finally:
            spool.clear()
            spool.close()

    fuzz(make, read, (RouterError,))
