"""The mode that an operator set, told to all replicas: here it holds at once, whatever is away.

A set mode outlives restarts until the configuration's own modes are changed: those then take its place.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial

import msgspec
import structlog

from router.config import Config
from router.domain.decision import Mode
from router.errors import StoreError
from router.rollout.notes import ATTEMPTS, PUBLISH_S, Elsewhere, Note, Notes, offered
from router.switches.modes import Modes, ModesTold

NAME = "modes"


class SharedMode:
    """Of one replica. Belongs to one event loop."""

    def __init__(
        self,
        config: Config,
        modes: Modes,
        notes: Notes,
        elsewhere: Elsewhere,
        lost: Callable[[StoreError], None],  # is told that the notes are away
        wall_s: Callable[[], float],
    ) -> None:
        self.modes, self._notes, self._elsewhere, self._lost = modes, notes, elsewhere, lost
        self._configured = msgspec.json.encode([config.mode, config.modes]).decode()
        self.configured = modes.default  # what operators' words take the place of
        # seconds since the epoch; None: by no operator; 0: nobody wrote down when
        self.set_at: float | None = None
        self._wall_s = wall_s
        self._number = 0
        self._untold = False
        self._began_at = wall_s()
        self._looked = False  # whether the notes were there yet

    def begin(self, notes: Mapping[str, Note], *, reachable: bool) -> None:
        """Before it serves: what was set holds, unless this replica is configured otherwise than when it was."""
        self._looked, told = reachable, _told(notes)
        if told is not None:
            self._begin_with(told)

    def _begin_with(self, told: ModesTold) -> None:
        self._number = told.number
        if told.configured == self._configured:
            before = (self.modes.default, self.modes.rules)
            self._hear(told)
            if (self.modes.default, self.modes.rules) != before:
                self._warn()

    async def follow(self, notes: Mapping[str, Note], *, reachable: bool) -> None:
        """What another replica set later holds; what could not be told before is told now."""
        told, late = _told(notes), reachable and not self._looked  # they were away when it began
        self._looked = self._looked or reachable
        if late and told is not None and told.at <= self._began_at:
            if not self._untold:
                self._begin_with(told)
            self._number = max(self._number, told.number)  # what was set here since is newer
        if told is not None and told.number > self._number:
            self._number, self._untold = told.number, False
            self._hear(told)
            log = structlog.get_logger("router.rollout")
            log.warning("mode was set by another replica", mode=told.default, rules=len(told.rules))
        elif self._untold and reachable:
            await self._tell()

    async def set(self, mode: Mode, tenant: str = "", share: float = 1.0) -> Mode:
        """Let a mode hold, here at once; others are told, now or when the shared store is back."""
        previous = self.modes.set(mode, tenant, share)
        self.set_at = self._wall_s()
        self._number += 1
        self._untold = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PUBLISH_S):
                await self._tell()
        return previous

    def _hear(self, told: ModesTold) -> None:
        self.modes.hear(told)
        self.set_at = told.at

    def _warn(self) -> None:
        """What was set before this start is not what the configuration or `--mode` says."""
        since = (
            datetime.fromtimestamp(self.set_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if self.set_at else ""
        )
        structlog.get_logger("router.rollout").warning(
            "the mode that an operator set overrides the configuration",
            mode=self.modes.default.value,
            configured=self.configured.value,
            rules=len(self.modes.rules),
            set_at=since or "not known",
            to_end_it=f"apportion mode {self.configured.value}",
        )

    async def _tell(self) -> None:
        for _ in range(ATTEMPTS):
            told = self.modes.told(self._number, self._configured, self.set_at or 0.0)
            note = Note(told.number, msgspec.json.encode(told).decode())
            try:
                found = await self._elsewhere(partial(offered, self._notes, NAME, note))
                if found is None:
                    self._untold = self._number != told.number
                    return
            except StoreError as error:
                self._lost(error)
                return
            theirs = _told(found)
            self._number = max(self._number, 0 if theirs is None else theirs.number) + 1


def _told(notes: Mapping[str, Note]) -> ModesTold | None:
    if NAME not in notes:
        return None
    with contextlib.suppress(msgspec.MsgspecError):
        return msgspec.json.decode(notes[NAME].body, type=ModesTold)
    return None
