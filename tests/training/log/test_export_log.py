"""Exports take what is new, once, whatever kills them in between."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import msgspec
import pytest

from router.__main__ import commands
from router.decisions.erase import erase_decision, erase_tenant
from router.decisions.postgres import Postgres
from training.errors import TrainingError
from training.log import export as exporting
from training.log.export import export_log
from training.log.manifest import read_manifest
from training.log.place import Place
from training.log.read import read_log

TOML = """
[backends.small]
kind = "scripted"
script = ["4"]
[[plans]]
name = "small"
stages = [{{ backend = "small" }}]
[store]
sqlite = "{store}"
"""
NOW = 1_800_000_000.0
EXPORTER = """
import os, signal, sys
from training.log import export as exporting
write, left = exporting.write_manifest, [int(sys.argv[3])]
def dying(place, manifest):
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    write(place, manifest)
exporting.write_manifest = dying
exporting.export_log(sys.argv[1], sys.argv[2], now_s=1e9, chunk=100)
"""


def ids(out: str | Path) -> list[str | None]:
    return read_log(str(out)).texts("decision_id")


def test_every_row_is_exported_once(traffic, export):
    out = export([traffic.decision(n) for n in range(50)])
    assert sorted(map(str, ids(out))) == sorted(traffic.decision_id(n) for n in range(50))


def test_the_store_is_the_configurations_where_none_is_named(traffic, fill, tmp_path, capsys):
    config = tmp_path / "router.toml"
    config.write_text(TOML.format(store=fill([traffic.decision(n) for n in range(5)])))
    commands().main(
        ["export", "--config", str(config), "--out", str(tmp_path / "out")], standalone_mode=False
    )
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'out'}: 5 decisions")


def test_a_second_export_takes_only_what_is_new(traffic, fill, tmp_path):
    out = str(tmp_path / "log")
    store = fill([traffic.decision(n) for n in range(5)])
    assert export_log(store, out, now_s=NOW).decisions == 5
    before = {file.path for file in read_manifest(Place(out)).files}
    fill([traffic.decision(n) for n in range(5, 8)])
    done = export_log(store, out, now_s=NOW)
    assert (done.decisions, done.total_decisions) == (3, 8)
    assert before < {file.path for file in read_manifest(Place(out)).files}
    assert export_log(store, out, now_s=NOW).decisions == 0


def test_an_outcome_that_comes_after_its_decision_was_exported_is_joined(traffic, export):
    out = export([traffic.decision(n) for n in range(3)])
    assert read_log(out).outcomes.num_rows == 0
    export((), [traffic.told(1, value=True)])
    log = read_log(out)
    assert [log.texts("decision_id")[row] for row in log.pair_decision] == [traffic.decision_id(1)]


def test_days_are_folders(traffic, export, export_path):
    made = [traffic.decision(n) for n in range(3)]
    out = export([dataclasses.replace(row, created_at=1.8e9 + 86_400 * n) for n, row in enumerate(made)])
    days = sorted(path.name for path in (Path(out) / "decisions").iterdir())
    assert days == ["day=2027-01-15", "day=2027-01-16", "day=2027-01-17"]


@pytest.mark.parametrize("manifests", [0, 1, 3])
def test_a_killed_export_goes_on_and_every_row_is_there_once(traffic, fill, tmp_path, manifests):
    store, out = fill([traffic.decision(n) for n in range(450)]), tmp_path / "log"
    run = subprocess.run(
        [sys.executable, "-c", EXPORTER, store, str(out), str(manifests)], check=False, capture_output=True
    )
    assert run.returncode == -signal.SIGKILL
    assert read_manifest(Place(str(out))).rows("decisions") == 100 * manifests
    done = export_log(store, str(out), now_s=NOW, chunk=100)
    assert (done.decisions, done.strays) == (450 - 100 * manifests, 1)
    found = ids(out)
    assert len(found) == len(set(found)) == 450


def test_several_processes_export_what_one_does(traffic, fill, tmp_path):
    store = fill([traffic.decision(n) for n in range(250)], [traffic.told(n, value=True) for n in range(40)])
    export_log(store, str(tmp_path / "one"), now_s=NOW, chunk=100)
    export_log(store, str(tmp_path / "two"), now_s=NOW, chunk=100, workers=2)
    one, two = read_log(str(tmp_path / "one")), read_log(str(tmp_path / "two"))
    assert one.table.equals(two.table)
    assert one.outcomes.equals(two.outcomes)


def test_two_exports_into_one_folder_do_not_mix(traffic, fill, tmp_path):
    store, out = fill([traffic.decision(0)]), str(tmp_path / "log")
    with exporting._alone(Place(out)), pytest.raises(TrainingError, match="another export is writing"):
        export_log(store, out, now_s=NOW)


def test_a_store_that_began_anew_is_not_taken_for_the_old_one(traffic, fill, tmp_path):
    out = str(tmp_path / "log")
    export_log(fill([traffic.decision(n) for n in range(5)]), out, now_s=NOW)
    for left in tmp_path.glob("rows.db*"):
        left.unlink()
    export_log(fill([traffic.decision(9)]), out, now_s=NOW)
    assert len(ids(out)) == 6


def test_a_store_that_was_set_back_is_noticed(traffic, fill, tmp_path):
    out = str(tmp_path / "log")
    store = fill([traffic.decision(0)])
    backup = Path(store).read_bytes()
    export_log(fill([traffic.decision(n) for n in range(1, 5)]), out, now_s=NOW)
    Path(store).write_bytes(backup)
    with pytest.raises(TrainingError, match="it has 1 now: it was set back"):
        export_log(store, out, now_s=NOW)


@pytest.mark.parametrize("since", [4, 9])
def test_a_store_that_was_set_back_is_noticed_also_where_it_has_grown_since(
    traffic, fill, tmp_path, since: int
):
    """Its new rows have the numbers of rows that were exported: they would be left out of the export for good."""
    out = str(tmp_path / "log")
    store = fill([traffic.decision(0)])
    backup = Path(store).read_bytes()
    export_log(fill([traffic.decision(n) for n in range(1, 5)]), out, now_s=NOW, chunk=2)
    before = read_manifest(Place(out))
    Path(store).write_bytes(backup)
    fill([traffic.decision(n) for n in range(10, 10 + since)])
    with pytest.raises(TrainingError, match=r"row 5 of .* is not the one that was exported: it was set back"):
        export_log(store, out, now_s=NOW)
    assert read_manifest(Place(out)) == before


def test_a_store_whose_last_exported_row_was_deleted_is_exported_on(traffic, fill, tmp_path):
    out = str(tmp_path / "log")
    store = fill([traffic.decision(n) for n in range(3)])
    export_log(store, out, now_s=NOW)
    erase_decision(store, traffic.decision_id(2), NOW)
    fill([traffic.decision(7)])
    export_log(store, out, now_s=NOW)
    assert sorted(map(str, ids(out))) == sorted(traffic.decision_id(n) for n in (0, 1, 7))


def test_an_export_lies_where_fsspec_says(traffic, fill):
    store, out = fill([traffic.decision(n) for n in range(4)]), f"memory://log-{os.getpid()}"
    export_log(store, out, now_s=NOW)
    fill([traffic.decision(4)])
    assert export_log(store, out, now_s=NOW).decisions == 1
    assert len(ids(out)) == 5


def test_a_scheme_that_nobody_knows_is_named(traffic, fill):
    with pytest.raises(TrainingError, match="nowhere"):
        export_log(fill([traffic.decision(0)]), "nowhere://x", now_s=NOW)


def test_texts_that_are_no_utf8_are_exported(traffic, export):
    row = dataclasses.replace(traffic.decision(0), query_text="a\ud800b", metadata={"\udfff": "x"})
    assert read_log(export([row])).texts("query_text") == ["a?b"]


def test_duckdb_reads_it_in_one_line(traffic, export):
    """The line of `training/log/__init__.py` and of the README."""
    out = export([traffic.decision(n) for n in range(20)])
    found = duckdb.sql(f"SELECT plan, avg(cost) FROM '{out}/decisions/*/*.parquet' GROUP BY plan")
    assert found is not None
    rows = [traffic.decision(n) for n in range(20)]
    for plan, cost in found.fetchall():
        costs = [row.cost for row in rows if row.plan == plan]
        assert cost == pytest.approx(sum(costs) / len(costs))


def test_a_manifest_of_a_newer_version_is_refused(traffic, export, export_path):
    out = export([traffic.decision(0)])
    manifest = msgspec.json.decode((export_path / "manifest.json").read_bytes())
    (export_path / "manifest.json").write_bytes(msgspec.json.encode(manifest | {"version": 99}))
    with pytest.raises(TrainingError, match="newer version"):
        read_log(out)


def test_an_export_forgets_what_the_store_deleted(traffic, export, fill):
    rows = [dataclasses.replace(traffic.decision(n), session_id="s") for n in range(20)]
    outcomes = [traffic.told(n, value=True) for n in range(20)]
    asked = dataclasses.replace(outcomes[0], key="asked", decision_id="", request_id=rows[0].request_id)
    out = export(rows, [*outcomes, asked])
    erase_tenant(fill(), "tenant-1", 3e9)
    erase_decision(fill(), rows[0].decision_id, 3e9)
    export()
    log = read_log(out)
    left = [row for n, row in enumerate(rows) if n and row.tenant != "tenant-1"]
    assert log.texts("decision_id") == [row.decision_id for row in left]
    assert log.outcomes.num_rows == len(left)
    assert log.unjoined == 0
    text = b"".join(file.read_bytes() for file in Path(out).rglob("*") if file.is_file())
    assert rows[0].decision_id.encode() not in text
    assert b"tenant-1" not in text


@pytest.mark.postgres
def test_postgres_is_exported_like_sqlite(traffic, fill, tmp_path, postgres_address):
    rows, outcomes = (
        [traffic.decision(n) for n in range(50)],
        [traffic.told(n, value=True) for n in range(20)],
    )
    export_log(fill(rows, outcomes), str(tmp_path / "one"), now_s=NOW)

    async def write() -> None:
        store = Postgres.open(postgres_address, tmp_path / "aside")
        for row in rows:
            store.record(row)
        await store.report(outcomes)
        await store.close()

    asyncio.run(write())
    done = export_log(postgres_address, str(tmp_path / "two"), now_s=NOW, chunk=20)
    assert (done.decisions, done.outcomes) == (50, 20)
    one, two = read_log(str(tmp_path / "one")), read_log(str(tmp_path / "two"))
    assert one.table.drop_columns(["n"]).equals(two.table.drop_columns(["n"]))
    assert one.outcomes["key"].to_pylist() == two.outcomes["key"].to_pylist()
