"""Advised queries of callers who do anything: the same decisions as over our own backends, and money never lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from predictors.observation import Sample
from router.advising.advisor import Advisor
from router.advising.feed import Brought, More
from router.advising.held_reservations import HeldReservations
from router.costs.worst_case import used_amount
from router.domain.events import Done, Started
from router.domain.options import Options
from router.domain.usage import Usage
from router.errors import RouterError
from router.stopping.agreement import Agreement

WORDS = ("1", "2", "3")


@dataclass
class Caller:
    """Draws from scripts as a backend would, or, with `rng`, does what comes to its mind."""

    scripts: dict[str, list[str]]
    rng: random.Random | None = None
    done: Done | None = None
    queue: asyncio.Queue[Brought | None] = field(default_factory=asyncio.Queue)
    running: list[tuple[str, str, Usage]] = field(default_factory=list)  # (id, backend, used so far)
    said: dict[str, tuple[str, Usage]] = field(default_factory=dict)
    started: int = 0
    silent: bool = False  # it has nothing more to say
    drawn: dict[str, int] = field(default_factory=dict)

    async def tell(self, event: Any) -> None:
        if isinstance(event, Started):
            return
        if isinstance(event, Done):
            self.done = event
        if isinstance(event, More):
            for _ in range(event.count):
                self.running.append((f"s{self.started}", event.backend, Usage(10)))
                self.started += 1
        if self.rng is None:
            self._all()
        else:
            self._something(self.rng)

    async def messages(self) -> AsyncIterator[Brought]:
        while (brought := await self.queue.get()) is not None:
            yield brought

    def _all(self) -> None:
        while self.running:
            name, backend, _ = self.running.pop(0)
            turn = self.drawn[backend] = self.drawn.get(backend, -1) + 1
            script = self.scripts[backend]
            self._say(name, backend, Usage(10, tokens_out=1), text=script[turn % len(script)])
        if self.done:
            self.queue.put_nowait(None)

    def _something(self, rng: random.Random) -> None:
        if self.silent:
            return
        if rng.random() < 0.08 or not self.running:
            self.silent = True
            self.queue.put_nowait(None)
            return
        place = rng.randrange(len(self.running))
        name, backend, used = self.running[place]
        used += Usage(tokens_out=rng.randrange(3))
        if rng.random() < 0.5:
            self.running[place] = (name, backend, used)
            self._say(name, backend, used, text="1", finished=False)
            return
        self.running.pop(place)
        failed = rng.random() < 0.1
        self._say(name, backend, used, text=rng.choice(WORDS), finish_reason="error" if failed else "stop")
        if self.done and rng.random() < 0.5:
            self._something(rng)

    def _say(self, name: str, backend: str, used: Usage, *, text: str, **more: Any) -> None:
        self.said[name] = (backend, used)
        self.queue.put_nowait(Brought(Sample(name, backend, text, **more), used))


def plans(one: Any) -> dict[str, Any]:
    return {
        "cascade": [one("small", Agreement(2), max_samples=3), one("large", Agreement(2), max_samples=2)],
    }


@pytest.mark.parametrize("seed", range(30))
async def test_a_caller_who_draws_the_same_samples_gets_the_same_decision(build, ask, one, seed):
    rng = random.Random(seed)
    scripts = {name: [rng.choice(WORDS) for _ in range(3)] for name in ("small", "large")}
    served = await build(scripts, plans(one)).done(ask())
    built, caller = build(scripts, plans(one)), Caller(scripts)
    await Advisor(built.allocator, HeldReservations(built.allocator.books), {}).advise(
        ask(), Options(), caller.messages(), caller.tell
    )
    assert caller.done is not None
    rows = [served.decision, caller.done.decision]
    assert len({(row.plan, row.digest, row.status, row.stop_reason, row.answer_text) for row in rows}) == 1
    votes = [[(one.stage, one.backend, one.answer_class, one.answer) for one in row.samples] for row in rows]
    assert votes[0] == votes[1]


@pytest.mark.parametrize("seed", range(150))
async def test_what_was_said_is_charged_or_the_whole_reservation_is_still_there(build, ask, one, seed):
    wide = [one("small", Agreement(2), max_samples=4, width=3), one("large", max_samples=2, width=2)]
    built = build({"small": (), "large": ()}, {"wide": wide, "large": [one("large")]})
    caller, held = Caller({}, random.Random(seed)), HeldReservations(built.allocator.books)
    try:
        await Advisor(built.allocator, held, {}, late_s=0.05).advise(
            ask(), Options(), caller.messages(), caller.tell
        )
    except RouterError:
        assert built.store.rows[-1].status.value == "failed"
    row, balance = built.store.rows[-1], built.ledger.balance()
    totals: dict[str, Usage] = {}
    for backend, used in caller.said.values():
        totals[backend] = totals.get(backend, Usage()) + used
    said = used_amount(totals, built.allocator.books.prices).micros
    if balance.reserved:
        assert (balance.spent, balance.reserved) == (0, row.reserved)
        assert caller.running, "all was said, and the reservation is still there"
        last = held.report(row.decision_id, totals, final=True)
        assert last.charged + last.returned == row.reserved
        balance = built.ledger.balance()
    assert (balance.spent, balance.reserved) == (said, 0)
