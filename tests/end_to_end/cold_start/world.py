"""A made-up world for cold starts: queries whose difficulty shows in their text to a degree, and two models.

Both models find long sums, large products and long series harder than short ones; what a query's text does not show
moves them together. How good each is at each kind, and all queries, depend on the seed. What the models say is a
recording (for stub servers and for replays), the right answers are known to the test alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from router.recordings.cost import Prices
from router.recordings.format import RecordingMeta, write_recording

PRICES = {"small": Prices(0.1, 0.2), "large": Prices(1.0, 2.0)}
SAMPLES = 4  # of each model and query
KINDS = ("sum", "product", "series", "larger")
HIDDEN = 0.8  # sd of what the text does not show, in logits
FILLER = ("so", "first", "we", "take", "the", "number", "and", "then", "add", "what", "is", "left", "over")


@dataclass(frozen=True, slots=True)
class Asked:
    """A query and what is true of it."""

    query_id: str
    text: str
    gold: int
    rate: dict[str, float]  # P(a sample of the model is right)


@dataclass(frozen=True, slots=True)
class World:
    """Queries and the folder of what the models answered."""

    queries: tuple[Asked, ...]
    folder: Path

    @property
    def gold(self) -> dict[str, int]:
        """Text -> the right answer."""
        return {query.text: query.gold for query in self.queries}


def make_world(folder: Path, queries: int, seed: int) -> World:
    """Write the recording (without labels and gold answers) and return what is true."""
    rng = np.random.default_rng([seed, 4711])
    skill = {"small": rng.normal(0.4, 0.7, len(KINDS))}
    skill["large"] = skill["small"] + rng.uniform(0.8, 2.6, len(KINDS))
    slope = rng.uniform(0.9, 1.8, len(KINDS))
    made = list(_queries(rng, queries, skill, slope))
    # short texts run out: no week is to be harder
    asked = tuple(made[place] for place in rng.permutation(queries))
    rows = [row for query in asked for name in PRICES for row in _samples(rng, query, name)]
    names = (
        "query_id",
        "backend",
        "sample_idx",
        "text",
        "tokens_in",
        "tokens_out",
        "mean_logprob",
        "latency_s",
    )
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    types = {"sample_idx": pa.int32(), "tokens_in": pa.int32(), "tokens_out": pa.int32()}
    types |= {"mean_logprob": pa.float32(), "latency_s": pa.float32()}
    write_recording(
        folder,
        RecordingMeta(name=folder.name, prices=PRICES),
        pa.table({"query_id": [query.query_id for query in asked], "query": [query.text for query in asked]}),
        pa.table({name: pa.array(values, types.get(name)) for name, values in columns.items()}),
    )
    return World(asked, folder)


def _queries(
    rng: np.random.Generator, count: int, skill: dict[str, np.ndarray], slope: np.ndarray
) -> Iterator[Asked]:
    texts: set[str] = set()
    while len(texts) < count:
        kind = int(rng.integers(len(KINDS)))
        size = int(rng.integers(1, 6))  # what shows
        text, gold = _query(rng, KINDS[kind], size)
        if text in texts:
            continue
        texts.add(text)
        hidden = rng.normal(0.0, HIDDEN)
        hard = slope[kind] * (size - 3) / 1.5
        rate = {name: 1 / (1 + math.exp(-(levels[kind] - hard + hidden))) for name, levels in skill.items()}
        yield Asked(f"q{len(texts):05d}", text, gold, rate)


def _query(rng: np.random.Generator, kind: str, size: int) -> tuple[str, int]:
    if kind == "sum":
        terms = rng.integers(10, 100 * 4**size, size + 1).tolist()
        return f"What is {' + '.join(map(str, terms))}?", sum(terms)
    if kind == "product":
        one, other = rng.integers(3, 4 * 3**size, 2).tolist()
        return f"Multiply {one} by {other}.", one * other
    if kind == "series":
        start, step = rng.integers(1, 50 * size), rng.integers(2, 3 + 2**size)
        shown = [int(start + step * place * (place + 1 if size > 3 else 1)) for place in range(4)]
        last = int(start + step * 4 * (5 if size > 3 else 1))
        return f"Which number continues the series {', '.join(map(str, shown))}, …?", last
    several = rng.integers(0, 10**size, size + 1).tolist()
    return f"Of the numbers {', '.join(map(str, several))}, name the largest one.", max(several)


def _samples(
    rng: np.random.Generator, query: Asked, model: str
) -> Iterator[tuple[str, str, int, str, int, int, float, float]]:
    usual = query.gold + int(rng.integers(1, 10))  # the mistake that is made most often
    for index in range(SAMPLES):
        right = bool(rng.random() < query.rate[model])
        wrong = usual if rng.random() < 0.4 else query.gold - int(rng.integers(1, 30))
        said = [FILLER[place] for place in rng.integers(0, len(FILLER), 4 + int(rng.lognormal(2.0, 0.5)))]
        text = f"{' '.join(said)}. Answer: {query.gold if right else wrong}"
        logprob = min(-0.01, float(rng.normal(-0.25 if right else -0.6, 0.2)))
        tokens = len(said) + 4
        yield (
            query.query_id,
            model,
            index,
            text,
            len(query.text) // 4 + 8,
            tokens,
            logprob,
            0.1 + tokens / 50,
        )
