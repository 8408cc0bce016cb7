"""Keeps this replica on the bundles and the mode that all replicas agreed on, and lets operators change both.

What was agreed stands in two places: in rows beside the budgets, which replicas on other machines see, and in the
folder of bundles, which works without the database; of two the higher number holds. Every `POLL_S` both are looked at
on a thread of its own. A bundle is loaded, checked and warmed there; the event loop only swaps references between two
queries. One that may not serve is refused, its reason is told with every status, and what serves goes on;
when its files change it is tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import structlog

from predictors.card import BundleCard
from router.allocation.books import Books
from router.config import Config
from router.domain.plan import Plan
from router.errors import BundleRefused, StoreError, UnknownName
from router.first_decision.choose import Chooser
from router.pricing.hours import Typical
from router.pricing.typical import typical_traffic
from router.rollout.agreed import ATTEMPTS, newest, publish
from router.rollout.learned import Learned, read_to_serve
from router.rollout.notes import Note, Notes
from router.rollout.releases import BundleState, Releases
from router.rollout.shared_mode import SharedMode
from router.rollout.shared_states import SharedStates
from router.rollout.shelf import Shelf, Stamp
from router.switches.canary import Canary

POLL_S = 0.5

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Listed:
    """One bundle as operators see it."""

    version: str
    state: BundleState
    card: BundleCard | None  # None: its folder is not here
    share: float  # of traffic, [0, 1]
    note: str = ""


@dataclass(slots=True)
class _Ready:
    """What was loaded, by version; "" is what the configuration names."""

    by_version: dict[str, Learned] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)  # version -> why
    stamps: dict[str, Stamp] = field(default_factory=dict)  # of their files when they were refused
    active: str = ""  # what decides; not what was agreed where that is refused


@dataclass(frozen=True, slots=True)
class _Serving:
    """What a document means here."""

    releases: Releases
    active: str  # version; "": what the configuration names
    chooser: Chooser
    degraded: tuple[str, ...]
    canary: Canary | None
    typical: Typical | None  # queries of another bundle than before; None: it is the same


class Rollout:
    """Of one replica. `begin` before it serves, `start` on the event loop, `close` at its end."""

    def __init__(
        self,
        config: Config,
        plans: Mapping[str, Plan],  # as configured: no thresholds yet
        books: Books,
        shelf: Shelf | None,  # None: no folder of bundles is configured
        notes: Notes,
        configured: Learned,  # what serves while no version is active
        wall_s: Callable[[], float],
        poll_s: float = POLL_S,
    ) -> None:
        self.config, self.books, self.shelf = config, books, shelf
        self._plans, self._notes, self._wall_s, self._poll_s = plans, notes, wall_s, poll_s
        self._ready = _Ready({"": configured})
        self._applied: Releases | None = None  # None: nothing was looked at yet
        self.mode = SharedMode(config, books.modes, notes, self._elsewhere, self._lost, wall_s)
        switch = books.chooser.feasibility.switch
        self.states = SharedStates(switch, notes, self._elsewhere, self._lost)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rollout")
        self._task: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()
        self._away = ""
        self._log = structlog.get_logger("router.rollout")

    # -------------------------------------------------------------------------------------------------- its life

    def begin(self) -> None:
        """Serve what was agreed before this replica started. Blocks."""
        notes = self._read()
        self.mode.begin(notes, reachable=not self._away)
        self.states.hear(notes)
        self._swap(self._loaded(self._newest(notes)))

    def start(self) -> None:
        """Begin to follow; needs a running event loop."""
        if self._task is None:
            self._task = asyncio.create_task(self._follow(), name="rollout")

    async def close(self) -> None:
        """Follow no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await asyncio.to_thread(self._thread.shutdown)
        self._notes.close()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            try:
                await self.look()
            except Exception:  # noqa: BLE001 (whatever it is, the kill switch must go on working)
                self._log.exception("following the releases failed")

    async def look(self) -> None:
        """Look once at what was agreed, and follow it."""
        notes = await self._elsewhere(self._read)
        await self.mode.follow(notes, reachable=not self._away)
        await self.states.follow(notes, reachable=not self._away)
        async with self._changing:
            agreed = await self._elsewhere(lambda: self._newest(notes))
            news = self._applied is None or agreed.number > self._applied.number
            if news or await self._elsewhere(self._mended):
                self._swap(await self._elsewhere(lambda: self._loaded(agreed)))

    # ---------------------------------------------------------------------------------------------- for operators

    @property
    def troubles(self) -> tuple[str, ...]:
        """What is not as it was agreed, in words."""
        away = (f"shared notes are away: {self._away}",) if self._away else ()
        return (*self._ready.refused.values(), *away)

    async def bundles(self) -> list[Listed]:
        """All bundles on the shelf and all that serve, the newest first."""

        def read() -> list[Listed]:
            cards = {} if self.shelf is None else self.shelf.cards()
            found = self._applied or Releases()
            places = {BundleState.ACTIVE: found.active, BundleState.CANARY: found.canary}
            versions = [*cards, *(name for name in places.values() if name and name not in cards)]
            configured = self._configured(found, cards)
            own = (
                "" if found.active else configured.version
            )  # its folder may have been copied to the shelf, too
            if own and own not in versions:
                versions.append(own)
            return [
                configured if version == own else self._listed(version, found, cards) for version in versions
            ]

        return await self._elsewhere(read)

    async def promote(
        self, version: str, to: BundleState | None = None, share: float | None = None
    ) -> Listed:
        """Let a bundle take its next place, here at once and in other replicas within a second or two.

        Raises `UnknownName`, `InvalidQuery`, `BundleRefused` with the reason, or `StoreError` where it could be
        written nowhere.
        """
        shelf = self._shelf()

        def ready() -> None:
            shelf.place(version)
            if version not in self._ready.by_version:
                found = read_to_serve(version, shelf.load, self.config, self._plans)
                self._ready.by_version[version] = found

        await self._elsewhere(ready)
        return await self._change(
            lambda found: found.promoted(version, to, share, at=self._wall_s()), version
        )

    async def rollback(self, to_version: str = "") -> Listed:
        """End what is being tried; where nothing is, go back to the bundle before. Raises as `promote`."""
        shelf = self._shelf()
        if to_version:
            await self._elsewhere(lambda: read_to_serve(to_version, shelf.load, self.config, self._plans))
        return await self._change(lambda found: found.rolled_back(to_version, at=self._wall_s()), None)

    async def _change(self, change: Callable[[Releases], Releases], version: str | None) -> Listed:
        async with self._changing:
            for _ in range(ATTEMPTS):
                base = await self._elsewhere(lambda: self._newest(self._read()))
                wanted = change(base)
                told = partial(publish, wanted, self._notes, self._shelf(), self._lost)
                if wanted == base or await self._elsewhere(told):
                    self._swap(await self._elsewhere(partial(self._loaded, wanted)))
                    shown = wanted.active if version is None else version
                    cards = await self._elsewhere(self._shelf().cards)
                    return self._listed(shown, wanted, cards) if shown else self._configured(wanted, cards)
        raise StoreError("releases: other replicas change them all the time; try again")

    # --------------------------------------------------------------------------------------------------- inside

    def _shelf(self) -> Shelf:
        if self.shelf is None:
            raise BundleRefused('no folder of bundles is configured: say bundles = "bundles" in router.toml')
        return self.shelf

    def _configured(self, found: Releases, cards: Mapping[str, BundleCard]) -> Listed:
        """What decides while no version is active; its version is "" where the configuration names no bundle."""
        predictions = self._ready.by_version[""].predictions
        # which may lie outside of the shelf
        version, card = predictions.version, getattr(predictions, "card", None)
        state = BundleState.ACTIVE if version else BundleState.RETIRED
        share = 1.0 if version and found.canary == version else 1.0 - found.canary_share
        return Listed(version, state, cards.get(version, card), share, "configured")

    def _listed(self, version: str, found: Releases, cards: Mapping[str, BundleCard]) -> Listed:
        step, refused = found.latest(version), self._ready.refused.get(version, "")
        state, share = found.state(version), found.share(version)
        return Listed(
            version, state, cards.get(version), share, refused or ("" if step is None else step.note)
        )

    def _read(self) -> dict[str, Note]:
        try:
            notes = self._notes.read()
        except StoreError as error:
            self._lost(error)
            return {}
        if self._away:
            self._log.warning("shared notes are back")
        self._away = ""
        return notes

    def _lost(self, error: StoreError) -> None:
        if not self._away:
            self._log.error(
                "shared notes are away; modes and promotions hold for this replica", error=str(error)
            )
        self._away = str(error)

    def _newest(self, notes: Mapping[str, Note]) -> Releases:
        try:
            return newest(notes, self.shelf, self._applied)
        except StoreError as error:
            self._log.error("the folder of bundles has no readable releases", error=str(error))
            return newest(notes, None, self._applied)

    def _mended(self) -> bool:
        """Whether the files of a refused bundle have changed: it may have come after its promotion."""
        shelf = self.shelf
        return shelf is not None and any(shelf.stamp(name) != was for name, was in self._ready.stamps.items())

    def _loaded(self, wanted: Releases) -> _Serving:
        """What the document means here: choosers of its active bundle and its canary."""
        refused: dict[str, str] = {}
        stamps: dict[str, Stamp] = {}
        for version in {wanted.active, wanted.canary, wanted.shadow} - {"", *self._ready.by_version}:
            if self.shelf is not None:
                stamps[version] = self.shelf.stamp(version)  # before it is read: it may be on its way
            try:
                found = read_to_serve(version, self._shelf().load, self.config, self._plans)
                self._ready.by_version[version] = found
            except (BundleRefused, UnknownName) as error:
                refused[version] = str(error)
                self._log.error("bundle is refused; what serves goes on", version=version, error=str(error))
        self._ready.refused = refused
        self._ready.stamps = {version: stamp for version, stamp in stamps.items() if version in refused}
        active = self._ready.active if wanted.active in refused else wanted.active
        own, books = self._ready.by_version[active], self.books
        chooser, canary, typical = books.chooser, None, None
        if chooser.predictions is not own.predictions:
            chooser = chooser.learned(tuple(own.plans.values()), own.predictions)
            if books.pricing is not None:
                typical = typical_traffic(own.predictions, chooser.menu.plans, chooser.forecaster)
        if wanted.canary and wanted.canary not in refused:
            tried = self._ready.by_version[wanted.canary]
            canary = Canary(
                chooser.learned(tuple(tried.plans.values()), tried.predictions),
                wanted.canary_share,
                tried.degraded,
            )
        keep = {"", active, wanted.canary, wanted.shadow}
        self._ready.by_version = {name: one for name, one in self._ready.by_version.items() if name in keep}
        return _Serving(wanted, active, chooser, own.degraded, canary, typical)

    def _swap(self, serving: _Serving) -> None:
        before, now = self.books.chooser.predictions.version, serving.chooser.predictions.version
        self._applied, self._ready.active = serving.releases, serving.active
        self.books.swap(serving.chooser, serving.degraded, serving.canary)
        if self.books.pricing is not None and serving.typical is not None:
            self.books.pricing.expect(serving.typical)
        if now != before:
            self._log.warning("another bundle decides", version=now, before=before)

    async def _elsewhere(self, call: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)
