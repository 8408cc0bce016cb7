"""A mode that an operator set outlives a restart, and everybody who looks is told so."""

from __future__ import annotations

import time

import msgspec
import pytest
from structlog.testing import capture_logs

from router.config import Config
from router.domain.decision import Mode
from router.errors import StoreError
from router.rollout.notes import InMemory, Note
from router.rollout.shared_mode import SharedMode
from router.switches.modes import ModeRule, Modes

SAID = "the mode that an operator set overrides the configuration"


async def test_a_mode_that_outlives_a_restart_is_a_warning_at_the_start_and_in_the_status(serving):
    begun = time.time()
    async with serving(ledger="shared.db") as house:
        await house.admin.set_mode(Mode.BYPASS)
    with capture_logs() as lines:
        async with serving(ledger="shared.db") as house:
            found = await house.admin.status()
    (warned,) = (line for line in lines if line["event"] == SAID)
    assert (warned["log_level"], warned["mode"], warned["configured"]) == ("warning", "bypass", "apply")
    assert warned["to_end_it"] == "apportion mode apply"
    assert (found.mode, found.configured_mode) == (Mode.BYPASS, Mode.APPLY)
    assert found.mode_set_at is not None
    assert begun <= found.mode_set_at <= time.time()


async def test_a_mode_that_is_as_configured_again_is_no_warning(serving):
    async with serving(ledger="shared.db") as house:
        await house.admin.set_mode(Mode.BYPASS)
        await house.admin.set_mode(Mode.APPLY)
    with capture_logs() as lines:
        async with serving(ledger="shared.db"):
            pass
    assert SAID not in {line["event"] for line in lines}


async def test_a_changed_configuration_takes_the_place_of_what_was_set(serving):
    async with serving(ledger="shared.db") as house:
        await house.admin.set_mode(Mode.BYPASS)
    async with serving(ledger="shared.db", top='mode = "observe"') as house:
        found = await house.admin.status()
    assert (found.mode, found.configured_mode, found.mode_set_at) == (Mode.OBSERVE, Mode.OBSERVE, None)


async def test_the_status_lists_rules_in_the_order_in_which_they_are_asked(serving):
    async with serving() as house:
        await house.admin.set_mode(Mode.OBSERVE, tenant="a")
        await house.admin.set_mode(Mode.BYPASS, tenant="b", share=0.25)
        found = await house.admin.status()
    assert found.mode_rules == (ModeRule(Mode.BYPASS, "b", 0.25), ModeRule(Mode.OBSERVE, "a"))


class Notes(InMemory):
    away = False

    def read(self) -> dict[str, Note]:
        if self.away:
            raise StoreError("the notes are away")
        return super().read()

    def write(self, name: str, note: Note) -> bool:
        if self.away:
            raise StoreError("the notes are away")
        return super().write(name, note)


class Replica:
    """Its shared mode alone, and a clock."""

    def __init__(self, notes: Notes, now: float, mode: Mode = Mode.APPLY) -> None:
        self.notes, self.now = notes, now
        config = msgspec.convert({"mode": mode.value, "backends": {}, "plans": []}, Config)
        self.shared = SharedMode(
            config, Modes(mode), notes, self.elsewhere, lambda lost: None, lambda: self.now
        )
        self.shared.begin({} if notes.away else notes.read(), reachable=not notes.away)

    async def elsewhere(self, call):
        return call()

    async def look(self) -> Mode:
        notes = {} if self.notes.away else self.notes.read()
        await self.shared.follow(notes, reachable=not self.notes.away)
        return self.shared.modes.default


@pytest.mark.parametrize(("configured", "holds"), [(Mode.OBSERVE, Mode.OBSERVE), (Mode.APPLY, Mode.BYPASS)])
async def test_a_changed_configuration_holds_too_where_the_notes_were_away_at_the_start(configured, holds):
    notes = Notes()
    await Replica(notes, 100.0).shared.set(Mode.BYPASS)
    notes.away = True
    late = Replica(notes, 200.0, configured)
    assert await late.look() is configured
    notes.away = False
    assert await late.look() is holds
    assert await late.look() is holds


async def test_what_another_replica_sets_after_the_start_holds_also_where_the_notes_were_away():
    notes = Notes()
    other = Replica(notes, 100.0)
    notes.away = True
    late = Replica(notes, 200.0, Mode.OBSERVE)
    notes.away, other.now = False, 300.0
    await other.shared.set(Mode.BYPASS)
    assert await late.look() is Mode.BYPASS


async def test_what_was_set_here_while_the_notes_were_away_is_newer_than_what_they_said_before():
    notes = Notes()
    other = Replica(notes, 100.0)
    for mode in (Mode.BYPASS, Mode.APPLY, Mode.BYPASS):
        await other.shared.set(mode)
    notes.away = True
    late = Replica(notes, 200.0)
    await late.shared.set(Mode.OBSERVE)
    notes.away = False
    assert await late.look() is Mode.OBSERVE
    assert await other.look() is Mode.OBSERVE
