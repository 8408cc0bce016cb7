"""Recordings whose truth is known: queries about primes are hard, those about rivers easy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from router.recording import Recording
from router.recordings.cost import Prices
from router.recordings.format import RecordingMeta, write_recording
from training.fit.rows import rows_of

BACKENDS = ("small", "large")
TRUTH = {"prime": (0.2, 0.8), "river": (0.9, 0.9)}


def write(
    folder: Path, count: int = 400, seed: int = 0, draws: int = 1, blind_from: int | None = None
) -> Recording:
    """Queries about primes (hard) and rivers; from `blind_from` on, rewards and gold are null."""
    rng = np.random.default_rng(seed)
    queries: dict[str, list] = {"query_id": [], "query": [], "task": [], "gold": []}
    samples: dict[str, list] = {
        name: []
        for name in (
            "query_id",
            "backend",
            "sample_idx",
            "text",
            "answer",
            "reward",
            "tokens_out",
            "mean_logprob",
        )
    }
    for number in range(count):
        kind = ("prime", "river")[int(rng.integers(2))]
        blind = blind_from is not None and number >= blind_from
        queries["query_id"].append(f"q{number}")
        queries["query"].append(f"Which {kind} is the largest of group {number}?")
        queries["task"].append(f"task {kind}")
        queries["gold"].append(None if blind else "42")
        for place, backend in enumerate(BACKENDS):
            for draw in range(draws):
                right = bool(rng.random() < TRUTH[kind][place])
                sure = bool(rng.random() < (0.9 if right else 0.2))
                row = {
                    "query_id": f"q{number}", "backend": backend, "sample_idx": draw, "text": f"It is {42 if right else 7}.",
                    "answer": "42" if right else "7", "reward": None if blind else float(right),
                    "tokens_out": 30 + 60 * place, "mean_logprob": -0.1 if sure else -1.5,
                }  # fmt: skip
                for name, entry in row.items():
                    samples[name].append(entry)
    schema = pa.schema(
        [("query_id", pa.string()), ("query", pa.string()), ("task", pa.string()), ("gold", pa.string())]
    )
    rows = pa.table(samples).set_column(5, "reward", pa.array(samples["reward"], pa.float32()))
    meta = RecordingMeta("made", {"small": Prices(0.1, 0.2), "large": Prices(1.0, 2.0)}, "a test", "none")
    write_recording(folder, meta, pa.table(queries, schema=schema), rows)
    return Recording.load(folder)


@pytest.fixture(scope="session")
def record():
    """Writes a recording to a folder."""
    return write


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    return write(tmp_path_factory.mktemp("recordings") / "made", 600, draws=2)


@pytest.fixture(scope="session")
def rows(made):
    return rows_of([made])
