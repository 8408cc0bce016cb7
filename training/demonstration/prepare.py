"""Split a recording by text, and write the copies that fit and server may read: without held-out rewards and gold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from router.config import Config, StoreConfig
from router.recording import Recording
from router.recordings.format import QUERIES, SAMPLES, read_meta, write_recording
from router.recordings.text_split import split_by_text
from training.errors import NotEnoughData
from training.menu import menu_of
from training.menu_toml import toml_of

MOST_HELD_OUT = 500  # queries
LEAST = 40  # queries in each half


@dataclass(frozen=True, slots=True)
class Split:
    """One seeded split and its files."""

    seed: int
    folder: Path
    fit_ids: tuple[str, ...]
    test_ids: tuple[str, ...]
    price: float  # quality per dollar at which the dear backend is just worth its cost, on the fit half

    @property
    def labelled(self) -> Path:
        """A recording of the fit half alone."""
        return self.folder / "labelled"

    @property
    def bundle(self) -> Path:
        """What is learned from it."""
        return self.folder / "bundle"

    @property
    def config(self) -> Path:
        """The router.toml of this split."""
        return self.folder / "router.toml"

    @property
    def tests(self) -> Path:
        """The held-out query ids, one a line."""
        return self.folder / "held_out.txt"


def blind_copy(source: Path, target: Path) -> None:
    """A copy of a recording without any reward or gold answer."""
    queries, samples = _tables(source)
    write_recording(target, _meta(source, target), _without(queries, "gold"), _without(samples, "reward"))


def prepare(source: Path, blind: Path, folder: Path, seed: int) -> Split:
    """Halves by the hash of the text; writes the fit half's recording, the held-out ids and router.toml.

    Raises NotEnoughData for fewer than 40 queries in a half.
    """
    recording = Recording.load(source)
    part = split_by_text([query.query for query in recording.queries], 2, seed)
    ids = np.array([query.query_id for query in recording.queries])
    fit_ids, test_ids = ids[part == 0].tolist(), ids[part == 1].tolist()[:MOST_HELD_OUT]
    if min(len(fit_ids), len(test_ids)) < LEAST:
        raise NotEnoughData(f"demo: {len(ids)} queries of {recording.name} are too few to split")
    folder.mkdir(parents=True, exist_ok=True)
    split = Split(seed, folder, tuple(fit_ids), tuple(test_ids), 0.0)
    queries, samples = _tables(source)
    write_recording(
        split.labelled, _meta(source, split.labelled), _of(queries, fit_ids), _of(samples, fit_ids)
    )
    split = replace(split, price=balance_price(Recording.load(split.labelled)))
    split.tests.write_text("\n".join(test_ids) + "\n", "utf-8")
    split.config.write_text(toml_of(config_of(recording, blind, split)), "utf-8")
    return split


def config_of(recording: Recording, blind: Path, split: Split) -> Config:
    """The menu over the blind copy, at the split's price and with its bundle; decisions are kept in a file."""
    menu = menu_of(recording, blind.resolve(), price=split.price, seed=split.seed)
    return msgspec.structs.replace(
        menu, bundle=split.bundle.name, store=StoreConfig(sqlite="decisions.sqlite", keep="full")
    )


def balance_price(recording: Recording) -> float:
    """(mean reward of the best − of the cheapest) / (difference of their mean costs), in quality per dollar.

    At this shadow price the two are equally good on average: below it quality leads, above it cost.
    """
    seen = recording.columns
    reward, cost = [], []
    for place in range(len(recording.backends)):
        rows = (seen.backend == place) & seen.finished & ~np.isnan(seen.reward)
        reward.append(float(seen.reward[rows].mean()))
        cost.append(float(seen.cost[rows].mean()))
    cheapest, best = int(np.argmin(cost)), int(np.argmax(reward))
    saved = cost[best] - cost[cheapest]
    return (reward[best] - reward[cheapest]) / saved if saved > 0 else 0.0


def _tables(folder: Path) -> tuple[Any, Any]:
    import pyarrow.parquet as pq

    return pq.read_table(folder / QUERIES), pq.read_table(folder / SAMPLES)


def _meta(source: Path, target: Path) -> Any:
    return replace(read_meta(source), name=target.name)


def _of(table: Any, ids: Sequence[str]) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table.column("query_id")
    return table.filter(pc.is_in(column, value_set=pa.array(ids).cast(column.type)))


def _without(table: Any, name: str) -> Any:
    """The column's values as nulls, so that the copy has the same columns."""
    import pyarrow as pa

    if name not in table.column_names:
        return table
    place = table.column_names.index(name)
    kind = table.schema.field(name).type
    return table.set_column(place, name, pa.nulls(len(table), kind))
