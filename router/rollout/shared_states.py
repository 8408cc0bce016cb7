"""What operators let backends do, told to all replicas: here it holds at once, whatever is away.

A state that was set outlives restarts: who comes later finds it, as with the mode. Quarantines are each replica's own:
what one saw another may not have seen. Enabling a backend ends its own everywhere, also where it was enabled: the note
says which number each state was set under.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from functools import partial

import msgspec
import structlog

from router.domain.backend_state import BackendState
from router.errors import StoreError
from router.rollout.notes import ATTEMPTS, PUBLISH_S, Elsewhere, Note, Notes, offered
from router.switches.backend_switch import BackendSwitch

NAME = "backends"


class StatesTold(msgspec.Struct, frozen=True):
    """What replicas tell each other about their backends."""

    states: dict[str, BackendState]
    set_in: dict[str, int]  # the number of the note that said so first


class SharedStates:
    """Of one replica. Belongs to one event loop."""

    def __init__(
        self,
        switch: BackendSwitch,
        notes: Notes,
        elsewhere: Elsewhere,
        lost: Callable[[StoreError], None],  # is told that the notes are away
    ) -> None:
        self._switch, self._notes, self._elsewhere, self._lost = switch, notes, elsewhere, lost
        self._number = 0
        self._known = StatesTold({}, {})  # as agreed
        self._own: dict[str, BackendState] = {}  # set here, not yet told

    def hear(self, notes: Mapping[str, Note]) -> None:
        """Let hold what was agreed later than what is known here."""
        told = notes.get(NAME)
        if told is None or told.number <= self._number:
            return
        with contextlib.suppress(msgspec.MsgspecError):
            said = _said(told)
            for name, state in said.states.items():
                if name in self._own or said.set_in.get(name, 0) <= self._number:
                    continue
                if self._switch.state(name) is not state:
                    log = structlog.get_logger("router.rollout")
                    log.warning("backend state was set by another replica", backend=name, state=state.value)
                self._switch.set(name, state)
            self._known = said
        self._number = told.number

    async def follow(self, notes: Mapping[str, Note], *, reachable: bool) -> None:
        """`hear`; what could not be told before is told now."""
        self.hear(notes)
        if self._own and reachable:
            await self._tell()

    async def set(self, backend: str, state: BackendState) -> None:
        """Let a state hold, here at once; others are told, now or when the shared store is back."""
        self._switch.set(backend, state)
        self._own[backend] = state
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PUBLISH_S):
                await self._tell()

    async def _tell(self) -> None:
        for _ in range(ATTEMPTS):
            own, number = dict(self._own), self._number + 1
            set_in = {**self._known.set_in, **dict.fromkeys(own, number)}
            wanted = StatesTold({**self._known.states, **own}, set_in)
            note = Note(number, msgspec.json.encode(wanted).decode())
            try:
                found = await self._elsewhere(partial(offered, self._notes, NAME, note))
                if found is None:
                    self._number, self._known = note.number, wanted
                    for name, state in own.items():
                        if self._own.get(name) is state:
                            del self._own[name]
                    return
            except StoreError as error:
                self._lost(error)
                return
            self.hear(found)


def _said(note: Note) -> StatesTold:
    """Notes of before said the states alone. Raises `MsgspecError`."""
    said = msgspec.json.decode(note.body)
    if isinstance(said, dict) and said.keys() == {"states", "set_in"} and isinstance(said["states"], dict):
        return msgspec.convert(said, StatesTold)
    states = msgspec.convert(said, dict[str, BackendState])
    return StatesTold(states, dict.fromkeys(states, note.number))
