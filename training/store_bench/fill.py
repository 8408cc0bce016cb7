"""A store full of made-up rows, and how many bytes of it a row takes."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from router.decisions.packed import DEFLATE
from router.decisions.postgres import Postgres
from router.decisions.postgres_database import PostgresDatabase
from router.decisions.read_only import open_read_only
from router.decisions.sqlite import SQLite
from router.decisions.store import Store
from router.domain.decision import Decision
from router.errors import StoreError
from training.store_bench.made_rows import Traffic

AT_ONCE = 2000
MOST_WAITING = 4 * AT_ONCE


@dataclass(frozen=True, slots=True)
class RowBytes:
    """Bytes of a decision in its table and indexes, a mean; outcomes not counted."""

    all: float
    text: float  # of queries, answers and samples
    features: float  # as they are kept: deflated
    raw_features: float

    @property
    def rest(self) -> float:
        """Besides text and features."""
        return self.all - self.text - self.features


def opened(address: str, aside: Path) -> Store:
    """A store that takes rows as fast as they come."""
    if "://" in address:
        return Postgres.open(address, aside, max_queued=MOST_WAITING + AT_ONCE)
    return SQLite.open(address, max_queued=MOST_WAITING + AT_ONCE)


def fill(address: str, aside: Path, traffic: Traffic, rows: int, told: Callable[[int], None]) -> None:
    """Record decisions 0 to `rows` and report about three of ten. Raises `StoreError` where not all are kept."""

    async def write() -> None:
        store = opened(address, aside)
        for first in range(0, rows, AT_ONCE):
            numbers, told_of = range(first, min(first + AT_ONCE, rows)), []
            for n in numbers:
                made = traffic.decision(n)
                store.record(made)
                if n % 10 < 3:
                    told_of.append(traffic.told(n, value=traffic.right(n, made)))
            await store.report(told_of)
            await room(store, numbers.stop)
            told(numbers.stop)
        await store.close()
        if store.health.committed != rows:
            raise StoreError(f"store-bench: {store.health.committed} of {rows} rows are in the store")

    asyncio.run(write())


async def room(store: Store, recorded: int) -> None:
    """Until the queue has room for another batch: rows above its length would be dropped."""
    while recorded - store.health.committed > MOST_WAITING and not store.health.away:
        await store.report(())  # is answered with the next transaction


def row_bytes(address: str, rows: int) -> RowBytes:
    """Measured on the first 10,000 rows for what is in them, on all for what they take."""
    text = features = raw = count = 0
    with open_read_only(address) as look:
        query = "SELECT {} FROM {}"
        for row in look.decisions(0.0, 1e12):
            if row is None or count == 10_000:
                break
            count += 1
            text += text_bytes(row)
            features += len(zlib.compress(row.features, DEFLATE))
            raw += len(row.features)
        if isinstance(look.database, PostgresDatabase):
            what = query.format(
                "sum(pg_total_relation_size(inhrelid))", "pg_inherits WHERE inhparent = 'decisions'::regclass"
            )
        else:
            what = query.format("sum(pgsize)", "dbstat WHERE name LIKE '%decisions%'")
        (size,) = look.database.run(
            look.connection, what.replace("%", "%%") if "pg_" in what else what
        ).fetchone()
    return RowBytes(float(size) / rows, text / count, features / count, raw / count)


def text_bytes(row: Decision) -> int:
    """UTF-8 bytes of a row's texts."""
    texts = [row.query_text, row.answer_text, row.answer]
    texts += [text for sample in row.samples for text in (sample.text, sample.answer)]
    return sum(len(text.encode()) for text in texts if text is not None)
