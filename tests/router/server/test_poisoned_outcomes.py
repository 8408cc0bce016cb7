"""Outcomes that mean harm: refused, or kept where they harm nobody else."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import grpc
import pytest

from router.admission.outcome_rates import MOST_TENANTS, OutcomeRates
from router.client import Client, Report
from router.config import RewardsConfig
from router.decisions.memory import Memory
from router.decisions.sqlite import SQLite
from router.domain.decision import Keep, Outcome
from router.errors import Overloaded
from router.reports import Reports
from router.v1 import apportion_router_pb2 as pb
from training.log.export import export_log
from training.log.read import read_log
from training.log.rewards import reward_decisions
from training.store_bench.made_rows import Traffic


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def told(tenant: str = "a", number: int = 0) -> Outcome:
    return Outcome(f"o{tenant}{number}", "m", 1.0, "number", f"d{number}", key=f"k{number}", tenant=tenant)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
async def test_a_number_that_is_none_is_refused(house, number):
    report = pb.ReportOutcomeRequest(decision_id="d", metric="m", number=number)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await house.stub.ReportOutcome(report)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_on_a_stream_bad_numbers_are_refused_and_the_others_committed(house):
    values = [1.0, float("nan"), 1e308, float("inf")]
    reports = [
        pb.ReportOutcomeRequest(decision_id=f"d{at}", metric="m", number=value)
        for at, value in enumerate(values)
    ]
    reply = await house.stub.ReportOutcomes(iter(reports))
    assert (reply.committed, reply.refused) == (2, 2)
    assert [refusal.position for refusal in reply.refusals] == [1, 3]


def log_of(tmp_path: Path, outcomes: list[Outcome]):
    """Two decisions of tenant-0 and tenant-1, and what was reported, exported."""
    traffic = Traffic()

    async def fill() -> list[bool]:
        store = SQLite.open(tmp_path / "rows.db")
        for n in (0, 1):
            store.record(traffic.decision(n))
        new = [first for outcome in outcomes for first in await store.report([outcome])]
        await store.close()
        return new

    new = asyncio.run(fill())
    export_log(str(tmp_path / "rows.db"), str(tmp_path / "log"), now_s=1.8e9)
    log = read_log(str(tmp_path / "log"))
    return new, log, reward_decisions(log, RewardsConfig(), 1.8e9)


def about(n: int, key: str, value: float, **changes) -> Outcome:
    traffic = Traffic()
    plain = {"metric": "m", "value": value, "kind": "number", "decision_id": traffic.decision_id(n)}
    return Outcome(**{"outcome_id": key, "key": key, "tenant": traffic.tenant(n), **plain, **changes})


def test_a_huge_reward_is_worth_one(tmp_path):
    _, _, rewards = log_of(tmp_path, [about(0, "a", 1e308), about(1, "b", -1e308)])
    assert rewards.reward.tolist() == [1.0, 0.0]


def test_a_huge_reward_said_again_outweighs_no_other_source(tmp_path):
    said = [about(0, f"a{at}", 1e308, source="loud") for at in range(50)]
    _, _, rewards = log_of(tmp_path, [*said, about(0, "b", 0.0, source="calm")])
    assert rewards.reward[0] == 0.5


def test_another_tenants_report_changes_nothing(tmp_path):
    theirs = about(0, "a", 1.0, tenant="tenant-1")
    _, log, rewards = log_of(tmp_path, [theirs])
    assert log.unjoined == 1
    assert rewards.used == 0


def test_a_replayed_report_counts_once(tmp_path):
    new, log, _ = log_of(tmp_path, [about(0, "a", 1.0), about(0, "a", 0.0), about(0, "a", 1.0)])
    assert new == [True, False, False]
    assert log.outcomes.num_rows == 1


def test_reports_about_decisions_that_were_never_made_are_no_decisions_reward(tmp_path):
    _, log, rewards = log_of(
        tmp_path, [about(0, f"a{at}", 1.0, decision_id=f"made up {at}") for at in range(20)]
    )
    assert log.unjoined == 20
    assert rewards.used == 0


def test_a_tenant_may_report_so_many_a_second_and_then_waits():
    clock = Clock()
    rates = OutcomeRates(100.0, clock)
    assert rates.take({"a": 200}) == 0  # two seconds' worth is there at first
    assert rates.take({"a": 100}) == 1.0
    assert rates.take({"b": 200}) == 0  # another tenant's
    clock.now = 2.0
    assert rates.take({"a": 100}) == 0


def test_tenants_that_are_made_up_take_no_memory():
    rates = OutcomeRates(1.0, Clock())
    for number in range(MOST_TENANTS + 500):
        rates.take({f"t{number}": 1})
    assert len(rates._buckets) == MOST_TENANTS


async def test_a_single_report_too_many_is_refused_with_the_time_to_come_again():
    clock, store = Clock(), Memory()
    reports = Reports(store, rates=OutcomeRates(10.0, clock))
    for number in range(20):
        await reports.take([told(number=number)])
    with pytest.raises(Overloaded, match="tenant 'a' reports more than 10 outcomes a second") as caught:
        await reports.take([told(number=99)])
    assert caught.value.retry_after_s == pytest.approx(0.1)
    assert await reports.take([told("b")]) == (True,)
    clock.now = 0.11
    assert await reports.take([told(number=99)]) == (True,)


@pytest.mark.parametrize("server_settings", [{"max_outcomes_per_s": 500.0}])
async def test_a_stream_that_reports_too_fast_is_held_up_and_loses_nothing(house):
    """At 10,000 a second of a tenant that may report 500: the others' reports go through meanwhile."""
    flood = [Report("m", 1.0, decision_id=f"d{number}", tenant="loud") for number in range(2000)]
    begun = time.monotonic()
    flooding = asyncio.create_task(house.client.report_many(flood, timeout_s=60.0))
    async with Client(house.addresses.router) as other:
        calm = await other.report_many([Report("m", 1.0, decision_id="d", tenant="calm")])
    assert calm.committed == 1
    assert not flooding.done()
    assert (await flooding).committed == 2000
    assert time.monotonic() - begun >= 1.9  # 2,000 less the two seconds' worth, at 500 a second


@pytest.mark.parametrize("keep", [Keep.HASH, Keep.OFF])
@pytest.mark.parametrize("kind", ["comment", "demonstration"])
async def test_words_of_a_tenant_that_wants_none_kept_are_not_stored(keep, kind):
    store = Memory()
    reports = Reports(store, keep_of=lambda tenant: keep if tenant == "private" else Keep.FULL)
    for tenant in ("private", "open"):
        await reports.take([Outcome(tenant, "m", "their words", kind, "d", key=tenant, tenant=tenant)])
    assert [outcome.value for outcome in await store.outcomes("d")] == ["", "their words"]
