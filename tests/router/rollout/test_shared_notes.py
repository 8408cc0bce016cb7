"""Notes that replicas share: the higher number holds, in every database."""

from __future__ import annotations

import pytest

from router.errors import StoreError
from router.rollout.notes import InMemory, Note, open_notes


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def two(request, tmp_path):
    """What two replicas open."""
    if request.param == "memory":
        alone = InMemory()
        yield alone, alone
        return
    address = "budgets.db" if request.param == "sqlite" else request.getfixturevalue("postgres_address")
    opened = tuple(open_notes(address, tmp_path, lambda: 0.0) for _ in range(2))
    yield opened
    for notes in opened:
        notes.close()


def test_what_one_replica_writes_the_other_reads(two):
    assert two[0].write("mode", Note(1, "{}"))
    assert two[1].read() == {"mode": Note(1, "{}")}


def test_of_two_notes_the_higher_number_holds(two):
    two[0].write("mode", Note(2, '"second"'))
    assert not two[1].write("mode", Note(2, '"another second"'))
    assert not two[1].write("mode", Note(1, '"first"'))
    assert two[1].write("mode", Note(3, '"third"'))
    assert two[0].read()["mode"] == Note(3, '"third"')


def test_a_database_that_is_away_is_a_store_error_and_back_later(tmp_path):
    notes = open_notes("gone/budgets.db", tmp_path, lambda: 0.0)
    with pytest.raises(StoreError, match="shared notes"):
        notes.read()
    (tmp_path / "gone").mkdir()
    assert notes.read() == {}
    notes.close()
