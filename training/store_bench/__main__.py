"""`make store-bench`: fill stores, export, read, report; print what was measured as one JSON object."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from router.config import RewardsConfig
from training.log.export import export_log
from training.log.read import read_log
from training.log.rewards import reward_decisions
from training.store_bench.fill import fill, row_bytes
from training.store_bench.learn import learn
from training.store_bench.made_rows import Traffic
from training.store_bench.outcome_stream import serving, stream
from training.store_bench.postgres_server import postgres_server

COLUMNS = ("plan", "digest", "digests", "probabilities", "propensity", "cost", "latency_s", "features")


def measure(
    rows: Annotated[int, typer.Option(help="Decisions in SQLite.")] = 1_000_000,
    postgres_rows: Annotated[int, typer.Option(help="Decisions in PostgreSQL; 0: none.")] = 200_000,
    outcomes: Annotated[int, typer.Option(help="Outcomes reported to the service, on each store.")] = 60_000,
    cycle: Annotated[bool, typer.Option(help="Also fit and evaluate on the decisions in SQLite.")] = True,
    seed: int = 0,
    folder: Annotated[
        Path | None, typer.Option(help="Keep the files here, and take up a store that is there.")
    ] = None,
) -> None:
    """Measure the decision store."""
    place = folder or Path(tempfile.mkdtemp(prefix="store-bench-"))
    place.mkdir(parents=True, exist_ok=True)
    place.chmod(0o755)  # PostgreSQL runs as another user
    traffic = Traffic(seed=seed)
    found: dict[str, Any] = {"cores": os.cpu_count(), "load": os.getloadavg()[0]}
    try:
        found["sqlite"] = _on(str(place / "rows.db"), place, traffic, rows, "log")
        if cycle:
            found["cycle"] = asdict(learn(str(place / "rows.db"), place))
        found["sqlite"]["outcomes_per_s"] = _outcomes(place / "service", "", traffic, outcomes)
        if postgres_rows:
            with postgres_server(place / "postgres") as server:
                found["postgres"] = _on(server.address("rows"), place, traffic, postgres_rows, "log-postgres")
                address = server.address("outcomes")
                found["postgres"]["outcomes_per_s"] = _outcomes(
                    place / "service-2", address, traffic, outcomes
                )
    finally:
        if folder is None:
            shutil.rmtree(place, ignore_errors=True)
    print(msgspec.json.format(msgspec.json.encode(found)).decode())


def _on(address: str, place: Path, traffic: Traffic, rows: int, name: str) -> dict[str, Any]:
    found: dict[str, Any] = {"rows": rows}
    if "://" in address or not Path(address).exists():
        found["fill_s"] = _timed(lambda: fill(address, place / "aside", traffic, rows, _tell(rows)))
    size = row_bytes(address, rows)
    found["row_bytes"] = asdict(size) | {"rest": size.rest}
    log = str(place / name)
    shutil.rmtree(log, ignore_errors=True)
    workers = os.cpu_count() or 1
    found["export_s"] = _timed(lambda: export_log(address, log, now_s=2e9, workers=workers))
    found["export_again_s"] = _timed(lambda: export_log(address, log, now_s=2e9, workers=workers))
    found["parquet_bytes_per_row"] = sum(file.stat().st_size for file in Path(log).rglob("*.parquet")) / rows
    begun = time.perf_counter()
    read = read_log(log, columns=COLUMNS)
    found["read_s"] = time.perf_counter() - begun
    found["rewards_s"] = _timed(lambda: reward_decisions(read, RewardsConfig(), 2e9))
    return found


def _outcomes(folder: Path, postgres: str, traffic: Traffic, count: int) -> dict[str, float]:
    folder.mkdir(exist_ok=True)
    found = {}
    with serving(folder, postgres) as (_, address):
        for streams in (1, 4):
            begun = 10_000_000 * streams
            found[f"{streams} streams"] = asyncio.run(
                stream(address, traffic, begun, count, streams)
            ).per_second
    return found


def _timed(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _tell(rows: int) -> Callable[[int], None]:
    def told(behind: int) -> None:
        if behind % 50_000 == 0:
            print(f"{behind} of {rows} rows", file=sys.stderr)

    return told


if __name__ == "__main__":
    typer.run(measure)
