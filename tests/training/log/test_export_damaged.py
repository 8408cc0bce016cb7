"""An export of a store of which some rows cannot be read."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing

import pytest

from router.decisions.packed import read_packed
from training.export import export
from training.log.export import export_log
from training.log.read import read_log

NOW = 1_800_000_000.0


def damage(store: str, numbers: Sequence[int]) -> None:
    """Cut the bodies of these decisions and outcomes in half."""
    with closing(sqlite3.connect(store)) as connection:
        for table in ("decisions", "outcomes"):
            for n in numbers:
                (body,) = connection.execute(f"SELECT body FROM {table} WHERE n = ?", (n,)).fetchone()
                connection.execute(f"UPDATE {table} SET body = ? WHERE n = ?", (body[: len(body) // 2], n))
        connection.commit()


def test_damaged_rows_are_left_out_and_counted(traffic, fill, tmp_path, capsys):
    """They were left out without a word."""
    store = fill([traffic.decision(n) for n in range(9)], [traffic.told(n, value=True) for n in range(9)])
    damage(store, [2, 5])
    export(str(tmp_path / "log"), store=store)
    assert "4 damaged rows and outcomes were left out" in capsys.readouterr().err
    log = read_log(str(tmp_path / "log"))
    assert (len(log.table), len(log.outcomes)) == (7, 7)


@pytest.mark.parametrize("damaged", [[3], [1, 2, 9], list(range(1, 10))])
def test_a_row_whose_packed_parts_are_damaged_does_not_end_the_export(traffic, fill, tmp_path, damaged):
    """It ended this export and all that followed."""
    store = fill([traffic.decision(n) for n in range(9)])
    with closing(sqlite3.connect(store)) as connection:
        for n in damaged:
            (body,) = connection.execute("SELECT body FROM decisions WHERE n = ?", (n,)).fetchone()
            at = body.index(read_packed(body).features) + 6  # within what zlib wrote
            body = body[:at] + bytes(byte ^ 0xFF for byte in body[at : at + 4]) + body[at + 4 :]
            connection.execute("UPDATE decisions SET body = ? WHERE n = ?", (body, n))
        connection.commit()
    done = export_log(store, str(tmp_path / "log"), now_s=NOW, chunk=4)
    assert (done.decisions, done.unreadable) == (9 - len(damaged), len(damaged))
    assert export_log(store, str(tmp_path / "log"), now_s=NOW).unreadable == 0
