"""Which stores and which of their rows `apportion report` reads, and what it refuses."""

from __future__ import annotations

import asyncio
import json
import math
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from predictors.card import BundleCard
from router.command_group import CommandFailed
from router.commands.moments import moment_of
from router.decisions.postgres import Postgres
from router.decisions.rows import key_of, subject_of, superseded_key, to_bytes
from router.decisions.schema import open_writer
from router.decisions.sqlite import SQLite
from router.domain.decision import Mode
from router.errors import StoreError
from training.errors import TrainingError
from training.report.rows import read_log

NOW = 1_800_000_000.0


def test_a_period_takes_what_was_decided_in_it(log, store):
    log.write(store, [log.row(number * 3600) for number in range(48)])
    begin, end = "2027-01-15T10:00", "2027-01-15T20:00+00:00"
    assert log.facts("--store", store, "--since", begin)["rows"]["read"] == 46
    assert log.facts("--store", store, "--until", end)["rows"]["read"] == 12
    assert log.facts("--store", store, "--since", begin, "--until", end)["rows"]["read"] == 10


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("24h", NOW - 86_400),
        ("7d", NOW - 7 * 86_400),
        ("1.5m", NOW - 90),
        ("2w", NOW - 14 * 86_400),
        ("2026-01-01", 1_767_225_600.0),
        ("2026-01-01T12:00", 1_767_268_800.0),
        ("2026-01-01T12:00+02:00", 1_767_261_600.0),
        ("", None),
    ],
)
def test_times_are_ago_or_dates_in_utc(text, seconds):
    assert moment_of("--since", text, NOW) == seconds


def test_a_period_that_ends_before_it_begins_is_refused(log, store):
    """`--since 1h --until 2h`: more hours are longer ago."""
    log.write(store, [log.row(0)])
    with pytest.raises(CommandFailed, match="--since 1h is not before --until 2h"):
        log.run("--store", store, "--since", "1h", "--until", "2h")


@pytest.mark.parametrize("text", ["yesterday", "24", "-3h", "2026-13-01", "h"])
def test_a_time_that_is_none_is_refused_with_examples(text):
    with pytest.raises(CommandFailed, match=r"--since: .* is no time; write 24h, 7d, 2026-01-01"):
        moment_of("--since", text, NOW)


def test_a_store_that_is_not_there_is_named(log, tmp_path):
    with pytest.raises(StoreError, match=r"gone\.db: there is no such file"):
        log.run("--store", tmp_path / "gone.db")
    assert list(tmp_path.iterdir()) == []


def test_another_programs_file_is_refused(log, store):
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("CREATE TABLE mine (x)")
    with pytest.raises(StoreError, match="no decision store"):
        log.run("--store", store)


def test_a_file_that_is_no_database_is_refused(log, store):
    store.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError, match="cannot be read"):
        log.run("--store", store)


def test_the_store_of_a_configuration_is_found_beside_it(log, tmp_path):
    log.write(tmp_path / "kept.db", [log.row(number) for number in range(3)])
    (tmp_path / "router.toml").write_text(
        '[backends.large]\nkind = "scripted"\n[[plans]]\nname = "large"\nstages = [{ backend = "large" }]\n'
        '[store]\nsqlite = "kept.db"\n'
    )
    assert log.facts("--config", tmp_path / "router.toml")["rows"]["read"] == 3


def test_a_store_that_keeps_nothing_is_refused(log, tmp_path):
    (tmp_path / "router.toml").write_text(
        '[backends.large]\nkind = "scripted"\n[[plans]]\nname = "large"\nstages = [{ backend = "large" }]\n'
        '[store]\nsqlite = ":memory:"\n'
    )
    with pytest.raises(TrainingError, match="keeps nothing"):
        log.run("--config", tmp_path / "router.toml")


def test_a_running_servers_store_is_read_and_left_alone(log, store):
    async def beside() -> dict[str, Any]:
        owner = SQLite.open(store)
        for number in range(20):
            owner.record(log.row(number))
        await owner.report([log.outcome(0)])
        found: dict[str, Any] = await asyncio.to_thread(log.facts, "--store", store)
        owner.record(log.row(20))
        await owner.close()
        return found

    assert asyncio.run(beside())["rows"]["read"] == 20
    assert log.facts("--store", store)["rows"]["read"] == 21


@pytest.fixture
def unwritable(log):
    """A store of 3 rows in a folder that cannot be written, read by somebody who is not root."""
    with tempfile.TemporaryDirectory() as folder:
        store = log.write(Path(folder) / "rows.db", [log.row(number) for number in range(3)])
        for leftover in Path(folder).glob("rows.db?*"):
            leftover.unlink()
        yield store
        Path(folder).chmod(0o700)


@contextmanager
def as_nobody(store: Path) -> Iterator[None]:
    for file in store.parent.iterdir():
        file.chmod(0o444)
    store.parent.chmod(0o555)
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_store_whose_folder_cannot_be_written_is_read_as_it_lies(unwritable):
    with as_nobody(unwritable):
        assert not os.access(unwritable.parent, os.W_OK, effective_ids=True)
        assert len(read_log(unwritable, 0.0, math.inf).rows) == 3
    assert [file.name for file in unwritable.parent.iterdir()] == ["rows.db"]


def test_rows_in_a_write_ahead_file_that_cannot_be_read_are_not_passed_over(unwritable):
    (unwritable.parent / "rows.db-wal").write_bytes(b"rows" * 2000)
    with as_nobody(unwritable), pytest.raises(StoreError, match=r"rows\.db-wal holds rows of it"):
        read_log(unwritable, 0.0, math.inf)


def test_a_damaged_row_is_counted_and_the_others_are_used(log, store):
    log.write(store, [log.row(number) for number in range(40)])
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("UPDATE decisions SET body = x'c1' WHERE decision_id = 'd3'")
        connection.commit()
    rows = log.facts("--store", store)["rows"]
    assert (rows["read"], rows["left_out"]) == (39, {"cannot be decoded": 1})


def test_the_bundles_card_says_on_how_many_queries_it_was_fitted(log, tmp_path):
    card = BundleCard(
        "b1", "", "f", {}, ("large",), (), counts={"queries": 300, "queries_without_any_reward": 20}
    )
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "card.json").write_text(json.dumps(card.to_json()))
    (tmp_path / "router.toml").write_text(
        'bundle = "bundle"\n'
        '[backends.large]\nkind = "scripted"\n[[plans]]\nname = "large"\nstages = [{ backend = "large" }]\n'
    )
    log.write(tmp_path / "apportion.db", [log.row(number) for number in range(50)])
    told = log.facts("--config", tmp_path / "router.toml")["observe"]
    untold = log.facts("--store", tmp_path / "apportion.db")["observe"]
    assert (told["labelled"], untold["labelled"]) == (280, None)
    assert told["quality_difference"]["lo"] < untold["quality_difference"]["lo"]


def test_a_promoted_bundles_card_is_found_under_its_version(log, tmp_path):
    card = BundleCard("b1", "", "f", {}, ("large",), (), counts={"queries": 300})
    (tmp_path / "bundles" / "b1").mkdir(parents=True)
    (tmp_path / "bundles" / "b1" / "card.json").write_text(json.dumps(card.to_json()))
    (tmp_path / "router.toml").write_text(
        'bundle = "gone"\nbundles = "bundles"\n'
        '[backends.large]\nkind = "scripted"\n[[plans]]\nname = "large"\nstages = [{ backend = "large" }]\n'
    )
    (tmp_path / "gone").mkdir()
    log.write(tmp_path / "apportion.db", [log.row(number) for number in range(50)])
    assert log.facts("--config", tmp_path / "router.toml")["observe"]["labelled"] == 300


@pytest.mark.postgres
def test_rows_of_a_postgres_are_reported_like_those_of_a_file(log, store, tmp_path, postgres_address):
    rows, outcomes = [log.row(number) for number in range(50)], [log.outcome(n) for n in range(20)]

    async def write() -> None:
        kept = Postgres.open(postgres_address, tmp_path / "aside")
        for row in rows:
            kept.record(row)
        await kept.report(outcomes)
        await kept.close()

    asyncio.run(write())
    (tmp_path / "router.toml").write_text(
        '[backends.large]\nkind = "scripted"\n[[plans]]\nname = "large"\nstages = [{ backend = "large" }]\n'
        f'[store]\npostgres = "{postgres_address}"\n'
    )
    log.write(store, rows, outcomes)
    of_a_file = log.facts("--store", store)
    assert log.facts("--store", postgres_address) == of_a_file
    assert log.facts("--config", tmp_path / "router.toml") == of_a_file


@pytest.mark.timeout(300)
def test_a_hundred_thousand_rows_are_read_and_reported(log, store):
    count = 100_000
    with closing(open_writer(store, 1.0)) as connection:
        connection.execute("BEGIN")
        for number in range(count):
            made = log.row(
                number, session_id=f"s{number // 5}", mode=Mode.APPLY if number % 2 else Mode.OBSERVE
            )
            connection.execute(
                "INSERT INTO decisions (decision_id, tenant, created_at, body) VALUES (?, 'default', ?, ?)",
                (made.decision_id, made.created_at, to_bytes(made)),
            )
            told = log.outcome(number, number % 3 > 0)
            subject = subject_of(told)
            connection.execute(
                "INSERT INTO outcomes (tenant, key, subject, subject_id, supersedes, received_at, body)"
                " VALUES ('default', ?, ?, ?, ?, 0.0, ?)",
                (key_of(told), *subject, superseded_key(told), to_bytes(told)),
            )
        connection.execute("COMMIT")
    found = log.facts("--store", store)
    assert found["observe"]["queries"] == count // 2
    assert found["observe"]["sessions"] == count // 5
    assert found["apply"]["all"]["rewarded"] == count // 2
