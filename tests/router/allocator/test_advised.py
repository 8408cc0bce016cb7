"""The allocator over samples that a caller brings: width, pruning, late samples, failover, GPU time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from predictors.observation import Observation, Sample
from router.advising.advisor import Advisor, Engine
from router.advising.feed import Brought, More, Prune
from router.advising.held_reservations import REPORTED_LATER, HeldReservations
from router.domain.events import Done, Started
from router.domain.options import Options
from router.domain.usage import Usage
from router.domain.verdict import MORE, Action, Verdict
from router.errors import BackendUnavailable, InvalidQuery
from router.first_decision.forecast import Forecaster
from router.stopping.agreement import Agreement
from router.stopping.token_cap import TokenCap

ONE = Usage(10, tokens_out=2)


@dataclass
class Caller:
    """Brings what it is told to bring after each piece of advice; remembers the advice."""

    script: Callable[[Caller, Any], list[Brought]]
    told: list[Any] = field(default_factory=list)
    queue: asyncio.Queue[Brought | None] = field(default_factory=asyncio.Queue)

    async def tell(self, event: Started | More | Prune | Done) -> None:
        if isinstance(event, Started):
            return
        self.told.append(event)
        for brought in self.script(self, event):
            self.queue.put_nowait(brought)
        if isinstance(event, Done):
            self.queue.put_nowait(None)

    async def messages(self) -> AsyncIterator[Brought]:
        while (brought := await self.queue.get()) is not None:
            yield brought

    @property
    def counts(self) -> list[tuple[str, int, bool]]:
        return [(more.backend, more.count, more.escalates) for more in self.told if isinstance(more, More)]


def brought(name: str, text: str, usage: Usage | None = ONE, **more: Any) -> Brought:
    return Brought(Sample(name, more.pop("backend", ""), text, **more), usage)


def drawing(texts: dict[str, list[str]]) -> Callable[[Caller, Any], list[Brought]]:
    """A caller that draws at once what it is asked for."""
    left = {name: iter(items) for name, items in texts.items()}
    names = iter(range(1000))

    def script(caller: Caller, event: Any) -> list[Brought]:
        if not isinstance(event, More):
            return []
        return [brought(f"s{next(names)}", next(left[event.backend])) for _ in range(event.count)]

    return script


async def advised(built: Any, query: Any, script: Any, **engines: Engine) -> tuple[Caller, HeldReservations]:
    caller, held = Caller(script), HeldReservations(built.allocator.books)
    advisor = Advisor(built.allocator, held, engines)
    await advisor.advise(query, Options(), caller.messages(), caller.tell)
    return caller, held


async def test_as_many_as_the_width_are_asked_for_and_each_that_ends_makes_room_for_one(build, ask, one):
    built = build({"small": ()}, {"vote": [one("small", max_samples=4, width=3)]})
    caller, _ = await advised(built, ask(), drawing({"small": ["1", "2", "2", "2"]}))
    assert caller.counts == [
        ("small", 3, False),
        ("small", 1, False),
        ("small", 0, False),
        ("small", 0, False),
    ]
    assert caller.told[-1].answers[0].text == "2"


async def test_a_late_sample_of_an_earlier_stage_is_charged_and_does_not_vote(build, ask, one):
    plan = [one("small", Agreement(2), max_samples=2, width=2), one("large")]

    def script(caller: Caller, event: Any) -> list[Brought]:
        if isinstance(event, Done):
            return []
        if event.backend == "small" and event.count:
            failed = brought("a", "", finish_reason="error")
            return [failed]
        if event.escalates:
            return [brought("b", "7", backend="small"), brought("c", "9", backend="large")]
        return []

    built = build({"small": (), "large": ()}, {"cascade": plan})
    caller, _ = await advised(built, ask(), script)
    assert caller.counts == [("small", 2, False), ("large", 1, True), ("large", 0, False)]
    done = caller.told[-1]
    assert [sample.text for sample in done.answers] == ["9"]
    assert done.decision.usage["small"] == Usage(20, tokens_out=4, samples=2)
    assert built.ledger.balance().reserved == 0


@dataclass(frozen=True)
class PruneFirst:
    """Cuts the first growing sample as soon as the second is there."""

    reads_content = True

    def verdict(self, seen: Observation, signals: Any) -> Verdict:
        names = [sample.sample_id for sample in seen.samples]
        if set(names) == {"a", "b"} and not seen.tally.drawn:
            return Verdict(Action.PRUNE, ("a",))
        return MORE


async def test_a_pruned_sample_makes_room_and_is_still_charged(build, ask, one):
    def script(caller: Caller, event: Any) -> list[Brought]:
        if isinstance(event, Prune):
            return [brought("a", "x y z", Usage(10, tokens_out=3)), brought("b", "4")]
        if isinstance(event, More) and event.count == 2:
            return [brought(name, "x", Usage(10, tokens_out=1), finished=False) for name in "ab"]
        if isinstance(event, More) and event.count == 1:
            return [brought("c", "4")]
        return []

    built = build({"small": ()}, {"vote": [one("small", PruneFirst(), max_samples=3, width=2)]})
    caller, _ = await advised(built, ask(), script)
    assert [event.sample_ids for event in caller.told if isinstance(event, Prune)] == [("a",)]
    assert [count for _, count, _ in caller.counts if count] == [2, 1]
    done = caller.told[-1]
    assert sorted(sample.sample_id for sample in done.samples) == ["b", "c"]
    assert done.decision.usage["small"] == Usage(30, tokens_out=7, samples=3)


async def test_another_plan_takes_over_where_the_callers_backend_fails(build, ask, one):
    def script(caller: Caller, event: Any) -> list[Brought]:
        if not isinstance(event, More) or not event.count:
            return []
        if event.backend == "small":
            return [brought("a", "", Usage(), finish_reason="error")]
        return [brought("b", "9")]

    built = build({"small": (), "large": ()}, {"large": [one("large")], "small": [one("small")]})
    caller, _ = await advised(built, ask(), script)
    assert caller.counts == [("small", 1, False), ("large", 1, True)]
    row = caller.told[-1].decision
    assert (row.plan, row.answer_text) == ("large", "9")
    assert built.ledger.balance().spent == row.charged == 10 + 2 * 20
    assert built.ledger.balance().reserved == 0


async def test_a_failure_with_no_other_plan_is_the_backends_own(build, ask, one):
    built = build({"small": ()}, {"small": [one("small")]})
    with pytest.raises(BackendUnavailable, match="failed the caller"):
        await advised(built, ask(), lambda caller, event: [brought("a", "", Usage(), finish_reason="error")])
    assert built.store.rows[-1].status.value == "failed"


async def test_what_is_sent_without_being_asked_for_ends_the_stream_and_keeps_the_reservation(
    build, ask, one
):
    built = build({"small": ()}, {"vote": [one("small", max_samples=4, width=1)]})
    with pytest.raises(InvalidQuery, match="is waited for"):
        await advised(
            built,
            ask(),
            lambda caller, event: [brought("a", "4", finished=False), brought("b", "4", finished=False)],
        )
    assert built.ledger.balance().reserved > 0


def with_gpu_time(built: Any, seconds: float) -> None:
    """Let the small model be priced by the GPU second, a sample taking at most `seconds`."""
    books = built.allocator.books
    bounds = dict(books.chooser.forecaster.bounds)
    price = replace(bounds["small"].price, per_gpu_second=100.0)
    bounds["small"] = replace(bounds["small"], price=price, gpu_seconds=seconds)
    forecaster = Forecaster(bounds, books.chooser.forecaster.speeds)
    books.chooser = replace(books.chooser, forecaster=forecaster)
    books.prices["small"] = price


@pytest.mark.parametrize(("latency_s", "seconds"), [(4.0, 2.0), (None, 30.0)])
async def test_gpu_time_is_the_samples_latency_and_its_longest_where_it_is_not_said(
    build, ask, one, latency_s, seconds
):
    built = build({"small": ()}, {"small": [one("small")]})
    with_gpu_time(built, 30.0)

    def timed(caller: Caller, event: Any) -> list[Brought]:
        return [brought("a", "4", latency_s=latency_s)] if isinstance(event, More) else []

    caller, _ = await advised(built, ask(), timed, small=Engine(gpu_share=0.5))
    assert caller.told[-1].decision.usage["small"].gpu_seconds == seconds


async def test_a_report_of_a_decided_query_is_charged_its_samples_longest_gpu_time(build, ask, one):
    built = build({"small": ()}, {"small": [one("small", max_samples=3)]})
    with_gpu_time(built, 30.0)
    held = HeldReservations(built.allocator.books)
    done = await built.allocator.decide(ask(), Options(), held.take)
    charged = held.report(
        done.decision.decision_id, {"small": Usage(10, tokens_out=2, samples=2)}, final=True
    ).charged
    assert charged == 10 + 2 * 10 + 2 * 30 * 100


async def test_a_caller_that_is_cut_holds_its_reservation_and_leaves_a_row(build, ask, one):
    built = build({"small": ()}, {"vote": [one("small", max_samples=4, width=1)]})
    asked = asyncio.Event()

    def script(caller: Caller, event: Any) -> list[Brought]:
        asked.set()
        return []

    task = asyncio.create_task(advised(built, ask(), script))
    await asked.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    row = built.store.rows[-1]
    assert (row.status.value, row.charged, row.degraded[-1]) == ("cancelled", 0, REPORTED_LATER)
    assert built.ledger.balance().reserved == row.reserved > 0


async def test_enough_on_a_growing_sample_of_the_callers_is_told_at_once(build, ask, one):
    """It is the caller who ends it: nothing is waited for."""

    def script(caller: Caller, event: Any) -> list[Brought]:
        if isinstance(event, More) and event.count:
            return [brought("a", "The answer is 4", Usage(10, tokens_out=90), finished=False)]
        return []

    built = build({"small": ()}, {"capped": [one("small", TokenCap(80))]}, max_tokens=1000)
    caller, _ = await advised(built, ask(), script)
    done = caller.told[-1]
    assert isinstance(done, Done)
    assert done.decision.stop_reason == "enough: token_cap"
    assert [sample.text for sample in done.answers] == ["The answer is 4"]


async def test_a_sample_that_grows_keeps_its_number(build, ask, one):
    built = build({"small": ()}, {"vote": [one("small", max_samples=2, width=2)]})
    grown: dict[str, Any] = {"finished": False}
    sent = [brought("a", "1", **grown), brought("b", "2", **grown), brought("a", "1 1"), brought("b", "2 2")]

    def script(caller: Caller, event: Any) -> list[Brought]:
        return sent if isinstance(event, More) and event.count else []

    caller, _ = await advised(built, ask(), script)
    row = caller.told[-1].decision
    assert {sample.sample_id: sample.index for sample in row.samples} == {"a": 0, "b": 1}
