"""One page for several workers: sums that never fall, gauges as their metrics say, and what ended ones counted."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable
from typing import Any

import aiohttp
import msgspec
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from router.domain.decision import Outcome
from router.telemetry import worker_link
from router.telemetry.accumulators import Counts, Labels
from router.telemetry.endpoint import MetricsPage, MetricsPort
from router.telemetry.exposition import exposed
from router.telemetry.merged_counts import MergedCounts
from router.telemetry.worker_counts import ROWS, WorkerCounts, counts_so_far
from router.telemetry.worker_link import CountsReceiver, CountsSender

ONE = 'apportion_decisions_total{mode="apply",plan="one",status="answered"}'


def read(text: str) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            name = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert name not in found, "a sample stands twice"
            found[name] = sample.value
    return found


def nothing() -> dict[str, Any]:
    return {}


class Worker:
    """A service that counts, and what it tells, by way of the wire."""

    def __init__(self, watched: Any) -> None:
        self.watched = watched

    def told(self, *, gauges: bool = True) -> WorkerCounts:
        told = counts_so_far(self.watched.metrics, 1.5, gauges=gauges)
        return msgspec.msgpack.decode(msgspec.msgpack.encode(told), type=WorkerCounts)


@pytest.fixture
def worker(watched: Callable[..., Any]) -> Callable[[], Worker]:
    return lambda: Worker(watched())


@pytest.fixture
def merged() -> MergedCounts:
    return MergedCounts(nothing, lambda: 0.5, lambda: {"process_resident_memory_bytes": 100.0})


def shown(merged: MergedCounts) -> dict[str, float]:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(merged)
    return read(exposed(registry, "")[0].decode())


async def test_what_two_count_is_summed(worker, merged):
    one, two = worker(), worker()
    for _ in range(3):
        await one.watched.ask("one")
    await two.watched.ask("one")
    await two.watched.ask("vote")
    merged.update(1, one.told())
    merged.update(2, two.told())
    page = shown(merged)
    assert page[ONE] == 4
    assert page['apportion_query_seconds_count{phase="whole"}'] == 5
    assert page['apportion_query_seconds_bucket{le="+Inf",phase="whole"}'] == 5
    assert page['apportion_samples_per_query_sum{plan="vote"}'] == 2
    assert page["apportion_workers"] == 2
    assert page["process_cpu_seconds_total"] == 3.5


async def test_the_page_of_one_is_what_it_would_show_itself(worker, merged):
    one = worker()
    await one.watched.ask("vote", tenant="ann")
    own = one.watched.page
    merged.update(1, one.told())
    page = shown(merged)
    others = re.compile(r"(?!apportion_)|.*_store_|.*_age_")  # the owner's, and what grows between two looks
    own = {name: value for name, value in own.items() if not others.match(name)}
    ours = {name: value for name, value in page.items() if name in own}
    assert ours == own


async def test_what_an_ended_worker_counted_stays_and_its_gauges_go(worker, merged):
    one, two = worker(), worker()
    one.watched.admission.queries = 3
    two.watched.admission.queries = 4
    await one.watched.ask("one")
    await two.watched.ask("one")
    merged.update(1, one.told())
    merged.update(2, two.told())
    assert shown(merged)["apportion_running_queries"] == 7
    merged.end(1)
    page = shown(merged)
    assert (page[ONE], page["apportion_running_queries"], page["apportion_workers"]) == (2, 4, 1)
    assert page["apportion_worker_ends_total"] == 1
    again = worker()
    await again.watched.ask("one")
    merged.update(3, again.told())
    assert shown(merged)[ONE] == 3


async def test_a_count_told_again_is_not_counted_again(worker, merged):
    one = worker()
    await one.watched.ask("one")
    for _ in range(3):
        merged.update(1, one.told())
    assert shown(merged)[ONE] == 1


async def test_gauges_of_the_last_full_tale_hold_until_the_next(worker, merged):
    one = worker()
    one.watched.admission.queries = 3
    merged.update(1, one.told())
    merged.update(1, one.told(gauges=False))
    assert shown(merged)["apportion_running_queries"] == 3


@pytest.mark.parametrize(
    ("name", "values", "seen"),
    [
        ("apportion_running_queries", (2.0, 3.0), 5.0),
        ("apportion_most_queries", (7.0, 7.0), 14.0),
        ("apportion_started_seconds", (50.0, 40.0), 40.0),
        ("apportion_draining", (0.0, 1.0), 1.0),
        ("apportion_ledger_troubles", (0.0, 1.0), 1.0),
    ],
)
def test_a_gauge_of_several_is_as_its_metric_says(merged, name, values, seen):
    for key, value in enumerate(values):
        merged.update(key, WorkerCounts(gauges={name: {(): value}}))
    assert shown(merged)[name] == seen


def test_a_budget_that_all_share_is_shown_once(merged):
    place: Labels = ("all", "USD")
    for key, (spent, left) in enumerate(((1.0, 9.0), (1.5, 8.5))):
        told = {"apportion_budget_spent": {place: spent}, "apportion_budget_left": {place: left}}
        merged.update(key, WorkerCounts(gauges=told))
    page = shown(merged)
    labels = '{account="all",unit="USD"}'
    assert (page[f"apportion_budget_spent{labels}"], page[f"apportion_budget_left{labels}"]) == (1.5, 8.5)


async def test_the_error_of_calibration_is_over_the_outcomes_of_all(worker, merged):
    for key, right in enumerate((True, False)):
        one = worker()
        told = one.watched.metrics.outcomes
        told.confidence.add(("reward", "0.9"), 0.9)
        told.outcome.add(("reward", "0.9"), float(right))
        merged.update(key, one.told())
    assert shown(merged)['apportion_calibration_error{metric="reward"}'] == pytest.approx(0.4)


def test_the_store_is_its_owners_and_what_workers_dropped_on_the_way_is_added(merged):
    merged.own = lambda: {
        ROWS: {("committed",): 10.0, ("dropped",): 1.0},
        "apportion_store_away": {(): 1.0},
    }
    merged.update(1, WorkerCounts({ROWS: Counts({("dropped",): 2.0})}))
    page = shown(merged)
    assert page['apportion_store_rows_total{result="committed"}'] == 10
    assert page['apportion_store_rows_total{result="dropped"}'] == 3
    assert page["apportion_store_away"] == 1


async def gathered(watched: Any) -> tuple[CountsReceiver, CountsSender, socket.socket]:
    ours, theirs = socket.socketpair()
    all_, sender = CountsReceiver(nothing), CountsSender(theirs, watched.metrics)
    await all_.serve(ours)
    await sender.start()
    return all_, sender, theirs


async def test_who_asks_a_worker_gets_the_page_of_all(watched):
    one = watched()
    all_, sender, _ = await gathered(one)
    all_.merged.update(-1, WorkerCounts({"apportion_policy_total": Counts({("elsewhere",): 5.0})}))
    await one.ask("one")
    port = MetricsPort(MetricsPage(sender.page))
    address = await port.start("127.0.0.1:0")
    async with aiohttp.ClientSession() as http, http.get(f"http://{address}/metrics") as reply:
        page = read(await reply.text())
    assert page[ONE] == 1
    assert page['apportion_policy_total{policy="elsewhere"}'] == 5
    await port.stop()
    await sender.stop()
    await all_.close()


async def test_the_page_is_of_now(watched):
    one = watched()
    all_, sender, _ = await gathered(one)
    for count in range(1, 4):
        await one.ask("one")
        assert read((await all_.page(""))[0].decode())[ONE] == count
    await sender.stop()
    await all_.close()


async def test_a_worker_tells_for_the_last_time_when_it_ends(watched):
    one = watched()
    all_, sender, _ = await gathered(one)
    await all_.page("")
    await one.ask("one")
    await sender.stop()
    async with asyncio.timeout(10):
        while all_.merged.living:  # noqa: ASYNC110 (the other end of a socket makes it so)
            await asyncio.sleep(0.01)
    page = read((await all_.page(""))[0].decode())
    assert (page[ONE], page["apportion_workers"]) == (1, 0)
    await all_.close()


async def test_a_worker_that_does_not_answer_is_shown_as_it_was(watched, monkeypatch):
    one = watched()
    await one.ask("one")
    all_, sender, _ = await gathered(one)
    await all_.page("")
    monkeypatch.setattr(worker_link, "TELLS_WITHIN_S", 0.01)
    monkeypatch.setattr(sender, "_counts", lambda **_: WorkerCounts())
    for task in sender._tasks:
        task.cancel()  # it hears nothing any more
    assert read((await all_.page(""))[0].decode())[ONE] == 1
    await all_.close()
    await sender.stop()


async def test_without_the_process_that_gathers_the_worker_says_so(watched):
    all_, sender, _ = await gathered(watched())
    await all_.close()
    port = MetricsPort(MetricsPage(sender.page))
    address = await port.start("127.0.0.1:0")
    async with aiohttp.ClientSession() as http, http.get(f"http://{address}/metrics") as reply:
        assert reply.status == 503
    await port.stop()
    await sender.stop()


async def test_outcomes_that_either_was_told_are_counted(worker, merged):
    for key in range(2):
        one = worker()
        one.watched.metrics.outcomes.reported(Outcome("o", "reward", 1.0, "number", decision_id="d"))
        merged.update(key, one.told())
    assert shown(merged)['apportion_outcomes_total{metric="reward"}'] == 2
