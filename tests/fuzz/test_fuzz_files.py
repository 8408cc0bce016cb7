"""Files that others wrote: configurations, tokens, recordings, bundles, rows of a store, spools; damaged in every way."""

from __future__ import annotations

import hashlib
import io
import json
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from predictors.bundle_files import load_bundle, save_bundle
from predictors.errors import BundleError
from router.auth.guard import Guard
from router.auth.identity import Identity
from router.auth.tokens import hash_of, read_tokens
from router.configuration.file import load
from router.decisions.rows import page_start
from router.domain.query_trace import read_traceparent
from router.errors import ConfigError, InvalidQuery, RecordingError, Unauthenticated
from router.recording import Recording
from router.recordings.cost import Prices
from router.recordings.format import ChangedRecording, RecordingMeta, write_recording
from training.errors import TrainingError
from training.importers.csv_file import CSV
from training.importers.jsonl import JSONL

ROOT = Path(__file__).parents[2]

Write = Callable[[bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes an input where the reader looks for it."""
    path = tmp_path / "input"

    def written(raw: bytes) -> Path:
        path.write_bytes(raw)
        return path

    return written


# ------------------------------------------------------------------------------------------------ what operators write


def test_configurations(fuzz, mutations, write):
    example = (ROOT / "router.example.toml").read_bytes()
    small = b'mode = "apply"\n[backends.a]\nkind = "scripted"\nscript = ["4"]\n[[plans]]\nname = "p"\nstages = [{ backend = "a", max_samples = 3, stop = { kind = "agreement", needed = 2 } }]\n[budget]\ndollars = 1.0\nwindow = "day"\n[[budgets]]\nname = "t"\ntenants = ["*"]\namount = 5.0\n[store]\nsqlite = ":memory:"\n'
    words = [
        b'"',
        b"[[plans]]\n",
        b"inf",
        b"nan",
        b"1e400",
        b"0x7fffffffffffffffffff",
        b"[a.b.c]\n",
        b"{}",
        b"'''",
        b"1979-05-27",
        b"[budget]\n",
        b'kind = "vllm"\n',
        b"-1",
        b"true",
    ]
    make = mutations.damaged([example, small, small, small], words)
    fuzz(make, lambda raw: load(write(raw)), (ConfigError,))


def test_files_of_tokens_and_what_callers_say_of_themselves(fuzz, mutations, write):
    entry = f'[[tokens]]\nsha256 = "{hash_of("apn_x")}"\ntenant = "team"\nrole = "operator"\nuntil = "2099-01-31"\n'.encode()
    make = mutations.damaged(
        [entry, entry + entry.replace(b"team", b"other")],
        [b'role = "caller"\n', b"9999-12-31", b"0001-01-01T00:00:00+14:00", b"[[tokens]]\n"],
    )
    headers = mutations.damaged([b"Bearer apn_x", b"bearer  apn_x ", b"Basic eDp5", b"Bearer"])

    def both(rng: Random) -> tuple[bytes, str]:
        said = headers(rng) if rng.random() < 0.5 else b"Bearer apn_x"
        return (make(rng) if rng.random() < 0.6 else entry), said.decode("utf-8", "surrogateescape")

    def read(made: tuple[bytes, str]) -> None:
        path = write(made[0])
        read_tokens(path)
        found = Guard(path, wall_s=lambda: 1e9).caller(made[1])
        assert isinstance(found, Identity) and found.tenant
        assert made[1].split()[1] == "apn_x"

    fuzz(both, read, (ConfigError, Unauthenticated))


def test_page_tokens_and_traces(fuzz, mutations):
    make = mutations.damaged([b"0x1.8p+30_17", b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01", b"_"])

    def read(raw: bytes) -> None:
        text = raw.decode("utf-8", "surrogateescape")
        trace = read_traceparent(text)
        assert trace is None or (len(trace.trace_id), len(trace.span_id)) == (32, 16)
        place = page_start(10, text)
        assert place is None or math.isfinite(place[0])

    fuzz(make, read, (InvalidQuery,))


# ------------------------------------------------------------------------------------------------------------ recordings


def recorded(folder: Path) -> dict[str, bytes]:
    """A small recording's files."""
    queries = [
        {"query_id": str(at), "query": f"What is {at} + 1?", "task": "sum", "gold": str(at + 1)}
        for at in range(3)
    ]
    samples = [
        {"query_id": str(at), "backend": name, "sample_idx": 0, "prefix_tokens": None, "text": "It is 4.", "answer": "4", "reward": 0.5,
         "tokens_out": 9, "latency_s": 0.5, "finish_reason": "stop", "mean_logprob": -0.1, "confidence": 0.5, "hidden": [0.5, 1.0]}
        for at in range(3) for name in ("small", "large")
    ]  # fmt: skip
    meta = RecordingMeta(
        "recorded",
        {"small": Prices(0.1, 0.2), "large": Prices(1.0, 2.0)},
        hidden={"small": [{"part": "answer_mean", "layer": 3, "width": 2}]},
    )
    write_recording(folder, meta, pa.Table.from_pylist(queries), pa.Table.from_pylist(samples))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_recordings(fuzz, mutations, tmp_path):
    folder = tmp_path / "recorded"
    files = recorded(folder)
    rows = {name: pq.read_table(folder / name).to_pylist() for name in files if name != "meta.json"}
    metas = mutations.strange_json([json.loads(files["meta.json"])])
    tables = {name: mutations.damaged([raw]) for name, raw in files.items() if name != "meta.json"}

    def make(rng: Random) -> tuple[str, bytes]:
        name = rng.choice(sorted(files))
        if name == "meta.json":
            return name, metas(rng)
        if rng.random() < 0.3:
            return name, tables[name](rng)
        changed = [dict(row) for row in rows[name]]
        for _ in range(rng.randrange(3)):
            row = rng.choice(changed)
            key = rng.choice(sorted(row))
            row[key] = {
                float: rng.choice(mutations.REALS),
                int: rng.choice(mutations.NUMBERS),
                str: mutations.odd_text(rng),
            }.get(type(row[key]), mutations.odd_value(rng))
        return name, parquet(changed) or tables[name](rng)

    def read(made: tuple[str, bytes]) -> None:
        (folder / made[0]).write_bytes(made[1])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ChangedRecording)
                found = Recording.load(folder)
            for query in found.queries:
                for backend in found.backends:
                    for sample in found.samples(query.query_id, backend):
                        assert sample.cost >= 0
                        found.hidden(sample.row)
            found.pieces("small") if "small" in found.backends else None
        finally:
            (folder / made[0]).write_bytes(files[made[0]])

    fuzz(make, read, (RecordingError,))


def parquet(rows: object) -> bytes:
    """The rows as a file, b"" where they make no table."""
    held = io.BytesIO()
    try:
        pq.write_table(pa.Table.from_pylist(rows), held)
    except (pa.ArrowException, TypeError, AttributeError, ValueError, LookupError, OverflowError):
        return b""
    return held.getvalue()


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_tables_of_others(fuzz, mutations, write, kind):
    rows = [
        {
            "query_id": "1",
            "query": "2 + 2?",
            "backend": "small",
            "answer": "4",
            "reward": 1.0,
            "tokens_out": 3,
        },
        {"query": "x", "backend": "large", "text": "y", "reward": 0},
    ]
    if kind == "jsonl":
        line = mutations.strange_json(rows)
        damaged = mutations.damaged(["".join(json.dumps(row) + "\n" for row in rows).encode()])

        def make(rng: Random) -> bytes:
            return (
                damaged(rng)
                if rng.random() < 0.5
                else b"\n".join(line(rng) for _ in range(rng.randint(1, 3)))
            )
    else:
        make = mutations.damaged(
            [
                b'query_id,query,backend,answer,reward,tokens_out\n1,2 + 2?,small,4,1.0,3\n2,"a, b",large,5,0,2\n'
            ],
            [b'"', b"\r\n", b",,,,", b"nan"],
        )
    reader = JSONL() if kind == "jsonl" else CSV()
    fuzz(make, lambda raw: reader.read(write(raw)), (TrainingError,))


# --------------------------------------------------------------------------------------------------------------- bundles


def test_bundles_whose_checksums_hold(fuzz, mutations, small_bundle, tmp_path):
    folder = tmp_path / "bundle"
    save_bundle(small_bundle(1), folder)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    card = json.loads(files["card.json"])
    cards = mutations.strange_json([card])
    damaged = {name: mutations.damaged([raw]) for name, raw in files.items() if name != "card.json"}
    arrays = {name: mutations.damaged([raw]) for name, raw in opened(files).items()}

    def make(rng: Random) -> tuple[str, bytes]:
        name = rng.choice(sorted(files))
        if name == "card.json":
            return name, cards(rng)
        if rng.random() < 0.5:
            return name, damaged[name](rng)
        inside = rng.choice([key for key in arrays if key.startswith(name + "/")])
        return name, closed(files[name], inside.partition("/")[2], arrays[inside](rng))

    def read(made: tuple[str, bytes]) -> None:
        name, raw = made
        (folder / name).write_bytes(raw)
        if name != "card.json":
            sums = card["files"] | {name: hashlib.sha256(raw).hexdigest()}
            (folder / "card.json").write_text(json.dumps(card | {"files": sums}))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # numpy's, about files of Python 2
                load_bundle(folder)
        finally:
            for kept in (name, "card.json"):
                (folder / kept).write_bytes(files[kept])

    fuzz(make, read, (BundleError,))


def opened(files: dict[str, bytes]) -> dict[str, bytes]:
    """The arrays inside of the archives: "file/array.npy" -> bytes."""
    import zipfile

    found: dict[str, bytes] = {}
    for name, raw in files.items():
        if name.endswith(".npz"):
            with zipfile.ZipFile(io.BytesIO(raw)) as archive:
                found |= {f"{name}/{inside}": archive.read(inside) for inside in archive.namelist()}
    return found


def closed(raw: bytes, changed: str, content: bytes) -> bytes:
    """The archive with another content of one array."""
    import zipfile

    held = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as source, zipfile.ZipFile(held, "w") as target:
        for inside in source.namelist():
            target.writestr(inside, content if inside == changed else source.read(inside))
    return held.getvalue()
