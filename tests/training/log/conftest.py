"""A store with made-up rows, and its export."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from router.decisions.sqlite import SQLite
from router.domain.decision import Decision, Outcome
from training.log.export import export_log
from training.store_bench.made_rows import Traffic

NOW = 1_800_000_000.0


@pytest.fixture
def traffic() -> Traffic:
    return Traffic(seed=7)


@pytest.fixture
def fill(tmp_path) -> Callable[..., str]:
    """Adds rows to the store; its address."""

    def add(decisions: Sequence[Decision] = (), outcomes: Sequence[Outcome] = ()) -> str:
        async def write() -> None:
            store = SQLite.open(tmp_path / "rows.db", max_queued=100_000)
            for row in decisions:
                store.record(row)
            if outcomes:
                await store.report(outcomes)
            await store.close()

        asyncio.run(write())
        return str(tmp_path / "rows.db")

    return add


@pytest.fixture
def export(tmp_path, fill) -> Callable[..., str]:
    """Adds rows to the store and exports them; the export's folder."""

    def made(decisions: Sequence[Decision] = (), outcomes: Sequence[Outcome] = ()) -> str:
        out = str(tmp_path / "log")
        export_log(fill(decisions, outcomes), out, now_s=NOW)
        return out

    return made


@pytest.fixture
def export_path(tmp_path: Path) -> Path:
    return tmp_path / "log"
