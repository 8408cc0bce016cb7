"""Traces whose truth is known, as recordings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from router.recordings.cost import Prices
from router.recordings.format import RecordingMeta, write_recording

EVERY, LENGTH = 50, 500


def written(
    folder: Path,
    traces: int = 160,
    *,
    settles: float | tuple[float, float] = 0.3,
    relapses: float = 0.0,
    seed: int = 0,
    cut: int = 0,
    said: tuple[str, str] | None = None,
) -> Path:
    """Each trace settles on its answer after the share `settles` of its length, 8 of 10 on the right one.

    `settles`: a range where it differs. `relapses`: the share of them that was right before the end and is wrong there.
    `cut`: the first so many hit a limit. `said`: what each writes every `EVERY` tokens, and where it settles; None: no
    texts were recorded. The confidence of a tentative answer is .95 once it has settled, .4 before.
    """
    rng = np.random.default_rng(seed)
    rows: list[tuple[Any, ...]] = []
    for number in range(traces):
        right = bool(rng.random() < 0.8)
        final = "gold" if right else "wrong"
        length = int(rng.integers(LENGTH // 2, LENGTH))
        share = settles if isinstance(settles, float) else float(rng.uniform(*settles))
        text, was_done = "", False
        for prefix in range(EVERY, length, EVERY):
            done = prefix >= share * length
            text += "" if said is None else said[done and not was_done]
            was_done = done
            answer = final if done else f"guess {int(rng.integers(20))}"
            rows.append(
                (number, prefix, answer, float(answer == "gold"), None, 0.95 if done else 0.4, None, text)
            )
        if right and rng.random() < relapses:
            final = "wrong"
        reason = "length" if number < cut else "stop"
        rows.append((number, None, final, float(final == "gold"), length, None, reason, text))
    numbers, prefixes, answers, rewards, lengths, confidences, reasons, texts = zip(*rows, strict=True)
    names = [f"q{one:04d}" for one in range(traces)]
    write_recording(
        folder,
        RecordingMeta(name=folder.name, prices={"one": Prices(1.0, 2.0)}),
        pa.table({"query_id": names, "query": [f"question {one} of this kind" for one in range(traces)]}),
        pa.table(
            {
                "query_id": [names[one] for one in numbers],
                "backend": ["one"] * len(rows),
                "sample_idx": pa.array([0] * len(rows), pa.int32()),
                "prefix_tokens": pa.array(prefixes, pa.int32()),
                "answer": answers,
                "reward": pa.array(rewards, pa.float32()),
                "tokens_in": pa.array([10] * len(rows), pa.int32()),
                "tokens_out": pa.array(lengths, pa.int32()),
                "confidence": pa.array(confidences, pa.float32()),
                "finish_reason": reasons,
            }
            | ({} if said is None else {"text": texts})
        ),
    )
    return folder


@pytest.fixture(scope="session")
def write_traces() -> Callable[..., Path]:
    """`written`."""
    return written


@pytest.fixture(scope="session")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 traces that settle early."""
    return written(tmp_path_factory.mktemp("made") / "settled")
