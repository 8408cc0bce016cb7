"""The files of a store: what is not ours is refused untouched, what is half-written is cut off and counted."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from router.assemble import assemble
from router.config import BackendConfig, Config, PlanConfig, StageConfig, StoreConfig
from router.decisions.owner import HEAD, Owner
from router.decisions.schema import MIGRATIONS
from router.decisions.spool import Spool
from router.decisions.sqlite import SQLite
from router.errors import StoreError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "decisions.db"


async def test_another_programs_file_is_not_touched(path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program's SQLite file"):
        SQLite.open(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(path):
    path.write_bytes(b"hello" * 1000)
    with pytest.raises(StoreError, match="file is not a database"):
        SQLite.open(path)


@pytest.mark.parametrize("content", [b"# A page\n" * 500, None])
def test_a_service_on_a_file_that_is_not_its_own_leaves_nothing_beside_it(path, content):
    if content is None:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE theirs (x)")
    else:
        path.write_bytes(content)
    config = Config(
        backends={"one": BackendConfig(kind="scripted")},
        plans=(PlanConfig(name="one", stages=(StageConfig(backend="one"),)),),
        store=StoreConfig(sqlite=path.name),
    )
    for begin in (lambda: assemble(config, base=path.parent), lambda: SQLite.open(path)):
        with pytest.raises(StoreError, match="choose another path"):
            begin()
        assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"nowhere.decisions.db: its folder cannot be written"):
        SQLite.open(tmp_path / "nowhere" / "decisions.db")


async def test_a_newer_files_schema_is_refused(path):
    await SQLite.open(path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(StoreError, match=f"schema {len(MIGRATIONS) + 1}, this one knows {len(MIGRATIONS)}"):
        SQLite.open(path)


async def test_a_refused_file_is_not_left_locked(path):
    path.write_bytes(b"hello" * 1000)
    with pytest.raises(StoreError):
        SQLite.open(path)
    path.unlink()
    await SQLite.open(path).close()


def test_a_half_written_record_ends_the_spool_and_is_counted(tmp_path):
    spool = Spool(tmp_path / "spool")
    spool.append([b"first", b"second"])
    spool.close()
    with (tmp_path / "spool").open("ab") as file:
        file.write(b"\x05\x00\x00\x00\x01")
    spool = Spool(tmp_path / "spool")
    assert (spool.rows, spool.torn) == (2, 1)
    spool.append([b"third"])
    assert list(spool) == [b"first", b"second", b"third"]
    spool.close()


def test_a_record_may_be_long(tmp_path):
    spool = Spool(tmp_path / "spool")
    spool.append([b"x" * 20_000_000, b"after"])
    assert [len(record) for record in spool] == [20_000_000, 5]
    spool.close()


def test_a_record_that_the_disk_refuses_leaves_nothing_of_it(tmp_path, monkeypatch):
    spool = Spool(tmp_path / "spool")
    spool.append([b"first"])

    def refuse(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        spool.append([b"second"])
    assert (list(spool), spool.rows) == ([b"first"], 1)
    monkeypatch.undo()
    spool.close()


def test_a_flipped_bit_ends_the_spool(tmp_path):
    spool = Spool(tmp_path / "spool")
    spool.append([b"first", b"second"])
    spool.close()
    data = bytearray((tmp_path / "spool").read_bytes())
    data[-1] ^= 1
    (tmp_path / "spool").write_bytes(data)
    spool = Spool(tmp_path / "spool")
    assert (list(spool), spool.torn) == ([b"first"], 1)
    spool.close()


def test_the_owner_keeps_numbers_of_a_bounded_count_of_replicas(path):
    owner = Owner(path)
    for number in range(100):
        owner.note(f"replica-{number}", number)
        owner.note(f"replica-{number}", number + 1)
    assert len(owner.left()) == 64
    assert owner.left()["replica-63"] == (63, 64)
    owner.clear()
    assert owner.left() == {}
    owner.close()
    assert path.with_name(path.name + ".owner").stat().st_size > HEAD
