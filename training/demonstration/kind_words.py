"""A recording whose queries no longer say what kind they are: words that many queries of a kind share are removed.

What is left (numbers, signs, names, the words of the single query) still tells something; a router that only
recognises kinds by their wording loses what it lives on.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from router.recordings.format import QUERIES, SAMPLES, read_meta, write_recording
from training.errors import NotEnoughData

WORD = re.compile(r"[^\W\d_]+")
SHARED = 0.15  # of a kind's queries: what as many contain is a word of the kind, however it is phrased
NOTHING_LEFT = "?"


def without_kind_words(source: Path, target: Path) -> None:
    """Copy a recording with the words of its kinds (`task`) removed. Raises NotEnoughData where it has no kinds."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    queries = pq.read_table(source / QUERIES)
    tasks = queries.column("task").to_pylist() if "task" in queries.column_names else []
    if not any(tasks):
        raise NotEnoughData(f"{source}: its queries have no `task`, so that no word belongs to a kind")
    texts = stripped(queries.column("query").to_pylist(), tasks)
    place = queries.column_names.index("query")
    column = pa.array(texts, queries.schema.field("query").type)
    meta = replace(read_meta(source), name=target.name)
    write_recording(target, meta, queries.set_column(place, "query", column), pq.read_table(source / SAMPLES))


def stripped(texts: Sequence[str], tasks: Sequence[str | None]) -> list[str]:
    """The texts without the words that 15 % of the queries of their task contain; case does not matter.

    >>> stripped(["Add 3 and 5.", "Add 7 and 1.", "Name a city in Peru."], ["sum", "sum", None])
    ['3 5.', '7 1.', 'Name a city in Peru.']
    """
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for text, task in zip(texts, tasks, strict=True):
        if task:
            seen[task].update({word.lower() for word in WORD.findall(text)})
    count = Counter(tasks)
    of_kind = {
        task: {word for word, many in words.items() if many >= SHARED * count[task]}
        for task, words in seen.items()
    }
    return [_without(text, of_kind.get(task or "", set())) for text, task in zip(texts, tasks, strict=True)]


def _without(text: str, words: set[str]) -> str:
    kept = WORD.sub(lambda hit: "" if hit[0].lower() in words else hit[0], text)
    return " ".join(kept.split()) or NOTHING_LEFT
