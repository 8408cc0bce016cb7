"""A backend that an operator takes out of service at one replica is out of service at all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest

from router.domain.backend_state import BackendState
from router.errors import StoreError
from router.rollout.notes import InMemory, Note
from router.rollout.shared_states import NAME, SharedStates
from router.switches.backend_switch import BackendSwitch

Result = TypeVar("Result")
DISABLE, DRAIN, ENABLE = BackendState.DISABLE, BackendState.DRAIN, BackendState.ENABLE


class Notes(InMemory):
    away = False

    def write(self, name: str, note: Note) -> bool:
        if self.away:
            raise StoreError("the notes are away")
        return super().write(name, note)


class Replica:
    def __init__(self, notes: Notes) -> None:
        self.notes, self.switch, self.lost = notes, BackendSwitch(), list[StoreError]()
        self.states = SharedStates(self.switch, notes, self.elsewhere, self.lost.append)

    async def elsewhere(self, call: Callable[[], Result]) -> Result:
        return call()

    async def look(self) -> None:
        await self.states.follow(self.notes.read(), reachable=not self.notes.away)


@pytest.fixture
def notes() -> Notes:
    return Notes()


async def test_what_one_replica_was_told_the_others_follow(notes):
    one, two = Replica(notes), Replica(notes)
    await one.states.set("small", DISABLE)
    assert (one.switch.state("small"), two.switch.state("small")) == (DISABLE, ENABLE)
    await two.look()
    assert two.switch.state("small") is DISABLE
    await two.states.set("small", ENABLE)
    await one.look()
    assert one.switch.state("small") is ENABLE


async def test_states_of_two_backends_set_at_two_replicas_both_hold(notes):
    one, two = Replica(notes), Replica(notes)
    await one.states.set("small", DISABLE)
    await two.states.set("large", DRAIN)
    for replica in (one, two):
        await replica.look()
        assert (replica.switch.state("small"), replica.switch.state("large")) == (DISABLE, DRAIN)


async def test_while_the_notes_are_away_it_holds_here_and_is_told_later(notes):
    one, two = Replica(notes), Replica(notes)
    notes.away = True
    await one.states.set("small", DISABLE)
    assert one.switch.state("small") is DISABLE
    assert len(one.lost) == 1
    notes.away = False
    await one.look()
    await two.look()
    assert two.switch.state("small") is DISABLE


async def test_a_replica_that_comes_later_finds_what_was_set(notes):
    await Replica(notes).states.set("small", DRAIN)
    late = Replica(notes)
    late.states.hear(notes.read())
    assert late.switch.state("small") is DRAIN


async def test_a_quarantine_is_not_ended_by_looking(notes):
    one, two = Replica(notes), Replica(notes)
    await one.states.set("large", DRAIN)
    two.switch.quarantine("small", "it gave too much")
    await two.look()
    assert "quarantine" in two.switch.objection("small")


async def test_enabling_a_backend_ends_its_quarantine_at_every_replica(notes):
    one, two = Replica(notes), Replica(notes)
    for _ in range(3):  # every time, not only the first
        two.switch.quarantine("small", "it gave too much")
        await one.states.set("small", ENABLE)
        await two.look()
        assert two.switch.closed() == ()


async def test_enabling_one_backend_leaves_the_quarantine_of_others(notes):
    one, two = Replica(notes), Replica(notes)
    await one.states.set("large", ENABLE)
    await two.look()
    for _ in range(2):
        two.switch.quarantine("small", "it gave too much")
        two.switch.quarantine("large", "it gave too much")
        await one.states.set("small", ENABLE)
        await two.look()
        assert two.switch.closed() == ("large",)


async def test_what_was_set_while_a_replica_did_not_look_holds_all_the_same(notes):
    one, two = Replica(notes), Replica(notes)
    await one.states.set("small", ENABLE)
    await two.look()
    two.switch.quarantine("small", "it gave too much")
    await one.states.set("small", ENABLE)
    await one.states.set("large", DRAIN)
    await two.look()
    assert two.switch.closed() == ("large",)


async def test_a_note_of_an_older_version_is_read(notes):
    notes.write(NAME, Note(7, '{"small": "drain", "states": "disable"}'))
    late = Replica(notes)
    await late.look()
    assert late.switch.closed() == ("small", "states")
    await late.states.set("large", DISABLE)
    third = Replica(notes)
    await third.look()
    assert third.switch.state("small") is DRAIN and third.switch.state("large") is DISABLE


def test_a_note_that_cannot_be_read_changes_nothing(notes):
    one = Replica(notes)
    one.states.hear({NAME: Note(3, '{"small": "sideways"}')})
    assert one.switch.closed() == ()
