"""Recordings with a known truth, made for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from router.recordings.cost import Prices
from router.recordings.format import RecordingMeta, write_recording

PRICES = {"small": Prices(0.1, 0.1), "large": Prices(2.0, 2.0)}
WORDS = (
    "river",
    "stone",
    "cloud",
    "paper",
    "green",
    "seven",
    "lamp",
    "music",
    "chair",
    "window",
    "bread",
    "silver",
)


def write_pattern(
    folder: Path,
    queries: int = 400,
    samples: int = 1,
    *,
    seed: int = 0,
    noise: bool = False,
    rewards: bool = True,
    answers: bool = True,
) -> Path:
    """Half of the queries are sums, which small gets wrong and large right; the others both get right, mostly.

    `noise`: rewards have nothing to do with the text. `rewards=False`: the same with rewards and gold null.
    """
    rng = np.random.default_rng(seed)
    ids, texts, tasks, rows = [], [], [], []
    for number in range(queries):
        hard = number % 2 == 0
        words = " ".join(rng.choice(WORDS, 4))
        text = f"Compute the sum of {words} {number}" if hard else f"Name the opposite of {words} {number}"
        ids.append(f"q{number:04d}")
        texts.append(text)
        tasks.append("sum" if hard else "opposite")
        rates = {"small": 0.15 if hard else 0.9, "large": 0.9}
        if noise:
            rates = {"small": 0.5, "large": 0.7}
        for backend, rate in rates.items():
            for index in range(samples):
                right = bool(rng.random() < rate)
                wrong = f"wrong {rng.integers(9)}"
                answer = f"gold {number}" if right else wrong
                tokens = int(rng.integers(5, 40))
                rows.append((f"q{number:04d}", backend, index, answer, float(right), 20, tokens))
    columns = list(zip(*rows, strict=True))
    text_type, size = pa.string(), len(rows)
    sample_table = pa.table(
        {
            "query_id": pa.array(columns[0], text_type),
            "backend": pa.array(columns[1], text_type),
            "sample_idx": pa.array(columns[2], pa.int32()),
            "answer": pa.array(columns[3] if answers else [None] * size, text_type),
            "reward": pa.array(columns[4] if rewards else [None] * size, pa.float32()),
            "tokens_in": pa.array(columns[5], pa.int32()),
            "tokens_out": pa.array(columns[6], pa.int32()),
        }
    )
    gold = [f"gold {number}" if rewards else None for number in range(queries)]
    query_table = pa.table(
        {"query_id": ids, "query": texts, "task": tasks, "gold": pa.array(gold, text_type)}
    )
    write_recording(folder, RecordingMeta(name=folder.name, prices=PRICES), query_table, sample_table)
    return folder
