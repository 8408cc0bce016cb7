"""The copies that each process may read, the deliberately bad bundle, and the bundles of full information.

The recording holds every query twice: as it was recorded, and under `ID~` with the answers of its two backends
exchanged. Asking for the second one later is what a router sees when models are swapped behind their addresses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace as replace_in

from predictors.bundle_files import load_bundle
from router.config import BackendConfig, Config, PlanConfig, ServerConfig, StageConfig, StoreConfig
from router.recording import Recording
from router.recordings.format import QUERIES, SAMPLES, read_meta, write_recording
from router.recordings.text_split import split_by_text
from router.rollout.releases import BundleState, Releases
from router.rollout.shelf import Shelf
from training.demonstration.prepare import balance_price, blind_copy
from training.fit.from_recordings import fit
from training.menu_toml import toml_of
from training.suites.workers import results_in_order

SWAPPED = "~"  # behind the id of a query whose backends are exchanged
CORES = 2
MARGIN_TOKENS = 64
CHEAP_IS_POOR = 0.25  # what the bad bundle is told of the cheap backend, times 1 - reward


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that the demo works with."""

    folder: Path
    service: Path  # the folder of the service, and of the cycle: nothing of the recording is in it
    whole: Path  # both copies of every query, with rewards: for who asks and for who scores
    price: float  # quality per dollar
    traffic: tuple[str, ...]  # ids of the queries that are asked
    held_out: tuple[str, ...]  # ids of queries that are never asked: what every bundle is scored on
    bad: str  # versions
    full: str
    full_swapped: str

    @property
    def config(self) -> Path:
        """The service's router.toml."""
        return self.service / "router.toml"

    @property
    def learning(self) -> Path:
        """The same for a machine that only learns: names and prices of backends, nothing that it could ask."""
        return self.service / "learning.toml"

    @property
    def references(self) -> dict[str, Path]:
        """Bundles of full information by version: no process of the service reads them."""
        return {
            self.full: self.folder / "references/full",
            self.full_swapped: self.folder / "references/exchanged",
        }


def prepare(source: Path, folder: Path, seed: int) -> Stage:
    """Write everything under `folder`. Raises `NotEnoughData` or `RecordingError`."""
    recording = Recording.load(source, hidden=False)
    texts = [query.query for query in recording.queries]
    part = split_by_text(texts, 2, seed)
    ids = [query.query_id for query in recording.queries]
    traffic = tuple(ids[place] for place in np.flatnonzero(part == 0))
    held_out = tuple(ids[place] for place in np.flatnonzero(part == 1))
    whole, blind, service = folder / "whole", folder / "blind", folder / "service"
    _both_ways(source, whole, recording.backends)
    blind_copy(whole, blind)
    service.mkdir(parents=True)
    price = balance_price(recording)
    config = menu(recording, blind, price, seed)
    (service / "router.toml").write_text(toml_of(config), "utf-8")
    elsewhere = {
        name: replace_in(one, kind="scripted", recording="") for name, one in config.backends.items()
    }
    (service / "learning.toml").write_text(toml_of(replace_in(config, backends=elsewhere)), "utf-8")
    shelf, inverted, references = Shelf(service / "bundles"), folder / "inverted", folder / "references"
    _inverted(source, inverted, recording.backends[1])
    exchanged = tuple(name + SWAPPED for name in traffic)
    jobs = [
        Job(whole, traffic, config, seed, references / "full"),
        Job(whole, exchanged, config, seed, references / "exchanged"),
        Job(inverted, traffic, config, seed, references / "bad"),
    ]
    full, swapped, _ = results_in_order(jobs, CORES, fitted, fitted)
    bad = load_bundle(references / "bad")
    shelf.add(bad)
    shelf.keep(
        Releases().promoted(bad.version, BundleState.ACTIVE, at=0.0, note="fitted on inverted rewards")
    )
    return Stage(folder, service, whole, price, traffic, held_out, bad.version, full, swapped)


@dataclass(frozen=True, slots=True)
class Job:
    """A bundle to be fitted, in a process of its own."""

    recording: Path
    queries: tuple[str, ...]  # ids
    config: Config
    seed: int
    out: Path


def fitted(job: Job) -> str:
    """Its version."""
    read = [Recording.load(job.recording, hidden=False)]
    return fit(read, job.queries, job.config, job.seed, job.out).version


def menu(recording: Recording, blind: Path, price: float, seed: int) -> Config:
    """Either backend alone, explored by softmax: what a log of some thousand outcomes can tell apart."""
    cheap, dear = recording.backends[:2]
    plans = tuple(PlanConfig(name=name, stages=(StageConfig(backend=name),)) for name in (cheap, dear))
    return Config(
        backends={name: _backend(recording, blind, name) for name in (cheap, dear)},
        plans=plans,
        reference=dear,
        policy={"kind": "softmax", "explore": 0.4, "temperature": 1.0, "floor": 0.1},
        price=price,
        seed=seed,
        bundles="bundles",
        server=ServerConfig(),
        store=StoreConfig(sqlite="decisions.sqlite", keep="full"),
    )


def _backend(recording: Recording, blind: Path, name: str) -> BackendConfig:
    seen = recording.columns
    longest = float(seen.tokens_out[seen.finished].max())
    price = recording.prices[name]
    return BackendConfig(
        kind="recorded",
        recording=str(blind.resolve()),
        price_in=price.price_in,
        price_out=price.price_out,
        max_tokens=max(1, int(np.ceil(longest))),
        template_tokens=MARGIN_TOKENS,
        logprobs=bool(np.isfinite(seen.mean_logprob[seen.finished]).any()),
    )


def _both_ways(source: Path, target: Path, backends: tuple[str, ...]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    queries, samples = pq.read_table(source / QUERIES), pq.read_table(source / SAMPLES)
    one, other = backends[:2]
    names = samples.column("backend").to_pylist()
    exchanged = [{one: other, other: one}.get(name, name) for name in names]
    mirrored = _renamed(samples).set_column(
        samples.column_names.index("backend"),
        "backend",
        pa.array(exchanged, samples.schema.field("backend").type),
    )
    write_recording(
        target,
        replace(read_meta(source), name=target.name),
        pa.concat_tables([queries, _renamed(queries)]),
        pa.concat_tables([samples, mirrored]),
    )


def _inverted(source: Path, target: Path, dear: str) -> None:
    """The recording with every reward turned round, the cheap backend's also made small.

    What is learned from it asks the dear backend where that fails, and the cheap one where the dear would do.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    samples = pq.read_table(source / SAMPLES)
    place, kind = samples.column_names.index("reward"), samples.schema.field("reward").type
    rewards = zip(samples.column("reward").to_pylist(), samples.column("backend").to_pylist(), strict=True)
    turned = [
        None if one is None else (1.0 - one) * (1.0 if name == dear else CHEAP_IS_POOR)
        for one, name in rewards
    ]
    write_recording(
        target,
        replace(read_meta(source), name=target.name),
        pq.read_table(source / QUERIES),
        samples.set_column(place, "reward", pa.array(turned, kind)),
    )


def _renamed(table: Any) -> Any:
    import pyarrow as pa

    place = table.column_names.index("query_id")
    names = [name + SWAPPED for name in table.column("query_id").to_pylist()]
    return table.set_column(place, "query_id", pa.array(names, table.schema.field("query_id").type))
