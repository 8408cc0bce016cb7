"""`apportion store delete` and `apportion store backup`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from router.batches.batch import Batch
from router.batches.kept import open_batches
from router.command_group import CommandFailed
from router.commands.store import store as store_command
from router.decisions.read_only import open_read_only
from router.decisions.sqlite import SQLite
from router.errors import StoreError, UnknownName
from training.store_bench.made_rows import Traffic

CONFIG = """
[backends.small]
kind = "scripted"
[[plans]]
name = "small"
stages = [{ backend = "small" }]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration, and ten rows in its store."""
    path = tmp_path / "router.toml"
    path.write_text(CONFIG)

    async def fill() -> None:
        store = SQLite.open(tmp_path / "apportion.db")
        for n in range(10):
            store.record(Traffic().decision(n))
        await store.close()

    asyncio.run(fill())
    return path


def rows(file: Path) -> int:
    with open_read_only(file) as look:
        return sum(1 for _ in look.decisions(0.0, 1e12))


def test_a_tenant_is_deleted_from_the_configurations_store(config, capsys):
    store_command("delete", tenant="tenant-1", config=config)
    assert capsys.readouterr().out == "deleted 2 decisions and 0 outcomes\n"
    assert rows(config.parent / "apportion.db") == 8


def test_a_tenants_batches_are_deleted_with_its_rows(config, capsys):
    kept = open_batches("apportion.db.budgets", config.parent, lambda: 1.0)
    kept.add(Batch("mine", "tenant-1", 1), b"digest", [b"What is told in confidence?"])
    kept.add(Batch("theirs", "tenant-2", 1), b"digest", [b"What?"])
    store_command("delete", tenant="tenant-1", config=config)
    assert capsys.readouterr().out == "deleted 2 decisions and 0 outcomes and 1 batches\n"
    assert kept.take("somebody") == ["theirs"]
    kept.close()


def test_a_decision_is_deleted(config, capsys):
    store_command("delete", decision=Traffic().decision_id(3), config=config, json=True)
    assert capsys.readouterr().out == '{"decisions":1,"outcomes":0,"batches":0}\n'


def test_a_decision_that_is_not_there_is_named(config):
    with pytest.raises(UnknownName, match="'nobody'"):
        store_command("delete", decision="nobody", config=config)


@pytest.mark.parametrize("named", [{}, {"tenant": "a", "decision": "b"}])
def test_what_to_delete_must_be_said_once(config, named):
    with pytest.raises(CommandFailed, match="--tenant NAME or --decision ID"):
        store_command("delete", config=config, **named)


def test_a_backup_has_all_rows(config, tmp_path):
    store_command("backup", to=tmp_path / "copy.db", config=config)
    assert rows(tmp_path / "copy.db") == 10


def test_a_backup_has_the_budgets_batches_and_switches_too(config, tmp_path, capsys):
    """Without them a restored service forgets what was spent in the window."""
    kept = open_batches("apportion.db.budgets", config.parent, lambda: 1.0)
    kept.add(Batch("mine", "tenant-1", 1), b"digest", [b"What?"])
    store_command("backup", to=tmp_path / "copy.db", config=config, json=True)
    kept.close()
    said = json.loads(capsys.readouterr().out)
    assert set(said["files"]) == {str(tmp_path / "copy.db"), str(tmp_path / "copy.db.budgets")}
    assert said["bytes"] == said["files"][str(tmp_path / "copy.db")] == (tmp_path / "copy.db").stat().st_size
    copied = open_batches("copy.db.budgets", tmp_path, lambda: 1.0)
    assert copied.take("somebody") == ["mine"]
    copied.close()


@pytest.mark.parametrize("content", [b"", b"no database", None])
@pytest.mark.parametrize("what", ["backup", "delete"])
def test_what_is_no_store_is_neither_copied_nor_made_one(config, tmp_path, what, content):
    """An empty file became an empty backup, and `delete` made tables in it."""
    open_batches("apportion.db.budgets", config.parent, lambda: 1.0).close()
    path = tmp_path / "apportion.db"
    path.write_bytes(content or b"") if content is not None else path.unlink()
    with pytest.raises(StoreError, match=r"apportion\.db"):
        store_command(what, to=tmp_path / "copy.db", tenant="a" if what == "delete" else "", config=config)
    assert not list(tmp_path.glob("*copy*"))
    assert (path.read_bytes() if content is not None else None) == content


def test_a_copy_that_cannot_be_finished_leaves_nothing(config, tmp_path):
    to = tmp_path / "nowhere" / "copy.db"
    with pytest.raises(StoreError, match="cannot be copied to"):
        store_command("backup", to=to, config=config)
    (tmp_path / "copy.db").write_text("an older one")
    with pytest.raises(CommandFailed, match="is there already"):
        store_command("backup", to=tmp_path / "copy.db", config=config)
    assert (tmp_path / "copy.db").read_text() == "an older one"
    assert not list(tmp_path.glob("*.budgets.*")) and not list(tmp_path.glob("copy.db.budgets"))


def test_a_server_is_backed_up_by_its_own_tool(config, tmp_path):
    with pytest.raises(CommandFailed, match="pg_dump"):
        store_command("backup", to=tmp_path / "copy", at="postgresql://host/db", config=config)
