"""Every decision store: what is recorded and reported comes back, once, joined, in order, to its tenant alone."""

from __future__ import annotations

import dataclasses
import math
import socket
from typing import Any

import pytest

from router.decisions import Page
from router.decisions.memory import Memory
from router.decisions.postgres import Postgres
from router.decisions.relay import Relay
from router.decisions.relayed import Relayed
from router.decisions.sqlite import SQLite
from router.domain.decision import Decision, Mode, Outcome, SampleRecord, Status
from router.domain.usage import Usage
from router.errors import InvalidQuery

DECISION = Decision(
    decision_id="d1",
    request_id="r1",
    replica="a",
    sequence=0,
    created_at=1000.5,
    tenant="acme",
    session_id="s1",
    mode=Mode.APPLY,
    policy="softmax",
    bundle="7",
    price=12.5,
    plan="small-vote",
    digest="0123",
    propensity=0.75,
    probabilities={"small-vote": 0.75, "large": 0.25},
    digests={"small-vote": "0123", "large": "4567"},
    explored=True,
    usable=False,
    unusable_reason="pinned",
    degraded=("no bundle",),
    signals={"p_correct/small": 0.5, "odd": math.inf},
    features=b"\x00\xff\x00",
    samples=(
        SampleRecord("x", "small", 0, 3, None, "stop", 10, 5, 20, -0.5, None, 0.75, 1.5, "12", 0, "text"),
    ),
    status=Status.BUDGET_CUT,
    answer="12",
    usage={"small": Usage(10, 5, 20, 0, 1, 1)},
    cost=1.25,
    first_text_s=None,
    metadata={"k": "ü\n\x00"},
)


def decision(number: int, **changes) -> Decision:
    row = dataclasses.replace(DECISION, created_at=1000.0 + number, sequence=number, request_id=f"r{number}")
    return dataclasses.replace(row, decision_id=f"d{number}", **changes)


def outcome(key: str = "", **changes) -> Outcome:
    plain = Outcome("o", metric="correct", value=True, kind="bool", decision_id="d1", tenant="acme", key=key)
    told = dataclasses.replace(plain, **changes)
    return dataclasses.replace(told, outcome_id=f"o-{key}-{told.value}")


@pytest.fixture(params=["memory", "sqlite", "relayed", pytest.param("postgres", marks=pytest.mark.postgres)])
async def store(request, tmp_path):
    made: Any
    if request.param == "relayed":  # a worker's end of a store that another process owns
        owned = SQLite.open(tmp_path / "decisions.db")
        owner, worker = socket.socketpair()
        relay = Relay(owned)
        await relay.serve(owner)
        made = Relayed(worker, lambda: None)
        yield made
        await made.close()
        await relay.close()
        await owned.close()
        return
    if request.param == "postgres":
        made = Postgres.open(request.getfixturevalue("postgres_address"), tmp_path / "aside")
    else:
        made = Memory() if request.param == "memory" else SQLite.open(tmp_path / "decisions.db")
    yield made
    await made.close()


async def keys(store, decision_id: str = "d1") -> list[str]:
    return [seen.key for seen in await store.outcomes(decision_id)]


async def test_a_decision_comes_back_as_it_was(store):
    store.record(DECISION)
    assert await store.decision("d1") == DECISION
    assert await store.decisions(1) == Page((DECISION,))


async def test_a_decision_that_was_never_made_is_none(store):
    assert await store.decision("d9") is None
    assert await store.outcomes("d9") == ()


async def test_recording_a_decision_twice_keeps_the_first(store):
    store.record(DECISION)
    store.record(dataclasses.replace(DECISION, plan="other"))
    assert [seen.plan for seen in (await store.decisions(10)).decisions] == ["small-vote"]


@pytest.mark.parametrize("value", [True, False, 0.25, 3.0, "a label", ""])
async def test_an_outcome_comes_back_as_it_was(store, value):
    told = outcome("k", value=value, source="user", weight=0.5, observed_at=12.5, sample_id="x")
    store.record(DECISION)
    assert await store.report([told]) == (True,)
    (seen,) = await store.outcomes("d1")
    assert seen == told
    assert type(seen.value) is type(value)


async def test_a_key_is_taken_once_per_tenant(store):
    assert await store.report([outcome("a"), outcome("a"), outcome("b")]) == (True, False, True)
    assert await store.report([outcome("a", value=False), outcome("a", tenant="other")]) == (False, True)
    store.record(DECISION)
    assert [(seen.key, seen.value) for seen in await store.outcomes("d1")] == [("a", True), ("b", True)]


async def test_reports_without_a_key_are_each_their_own(store):
    assert await store.report([outcome(value=True), outcome(value=False)]) == (True, True)
    assert len(await store.outcomes("d1")) == 2


async def test_an_outcome_before_its_decision_is_kept_and_joined(store):
    await store.report([outcome("by decision"), outcome("by request", decision_id="", request_id="r1")])
    store.record(DECISION)
    assert await keys(store) == ["by decision", "by request"]


async def test_outcomes_are_joined_by_the_most_specific_id_they_name(store):
    store.record(DECISION)
    store.record(decision(2))
    await store.report(
        [
            outcome("session", decision_id="", session_id="s1"),
            outcome("request", decision_id="", request_id="r1", session_id="s1"),
            outcome("decision", decision_id="d2", request_id="r1", session_id="s1"),
            outcome("other session", decision_id="", session_id="s2"),
        ]
    )
    assert await keys(store, "d1") == ["session", "request"]
    assert await keys(store, "d2") == ["session", "decision"]


async def test_a_decision_without_a_session_joins_no_sessions_outcome(store):
    store.record(decision(1, session_id=""))
    await store.report([outcome("lost", decision_id=""), outcome("mine")])
    assert await keys(store) == ["mine"]


async def test_another_tenants_outcome_is_not_joined(store):
    store.record(DECISION)
    await store.report([outcome("theirs", tenant="other"), outcome("ours")])
    assert await keys(store) == ["ours"]


async def test_a_correction_takes_the_place_of_what_it_supersedes_also_when_it_comes_first(store):
    store.record(DECISION)
    await store.report(
        [outcome("new", supersedes="old"), outcome("old"), outcome("newest", supersedes="new")]
    )
    assert await keys(store) == ["newest"]


async def test_another_tenant_cannot_supersede(store):
    store.record(DECISION)
    await store.report([outcome("old"), outcome("new", supersedes="old", tenant="other")])
    assert await keys(store) == ["old"]


async def test_a_report_that_supersedes_itself_stays(store):
    store.record(DECISION)
    await store.report([outcome("a", supersedes="a")])
    assert await keys(store) == ["a"]


async def test_pages_are_newest_first_and_cover_everything_once(store):
    for number in (3, 1, 5, 2, 4):
        store.record(decision(number, created_at=1000.0 + number // 2))
    seen, token = [], ""
    while True:
        page = await store.decisions(2, token)
        seen += [row.decision_id for row in page.decisions]
        token = page.next_token
        if not token:
            break
    assert seen == ["d4", "d5", "d2", "d3", "d1"]  # of one moment: the one that arrived later first


async def test_a_row_that_arrives_between_two_pages_does_not_move_the_second(store):
    for number in range(4):
        store.record(decision(number))
    first = await store.decisions(2)
    store.record(decision(9))
    second = await store.decisions(2, first.next_token)
    assert [row.decision_id for row in second.decisions] == ["d1", "d0"]
    assert second.next_token == ""


async def test_a_page_can_be_of_one_tenant(store):
    for number in range(4):
        store.record(decision(number, tenant="ab"[number % 2]))
    page = await store.decisions(1, tenant="b")
    assert [row.decision_id for row in page.decisions] == ["d3"]
    page = await store.decisions(1, page.next_token, tenant="b")
    assert ([row.decision_id for row in page.decisions], page.next_token) == (["d1"], "")


@pytest.mark.parametrize(
    ("size", "token", "field"), [(0, "", "page_size"), (1001, "", "page_size"), (5, "x", "page_token")]
)
async def test_a_page_that_cannot_be_is_refused(store, size, token, field):
    with pytest.raises(InvalidQuery) as caught:
        await store.decisions(size, token)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "token", ["nan_1", "inf_1", "1_", "_1", "0x1p0_99999999999999999999", "1_1; DROP TABLE", "\ud800"]
)
async def test_a_made_up_token_is_refused(store, token):
    with pytest.raises(InvalidQuery, match="page_token"):
        await store.decisions(5, token)


async def test_broken_text_and_numbers_lose_no_row(store):
    store.record(
        decision(1, query_text="a\ud800b", created_at=math.nan, price=math.nan, metadata={"\udfff": "x"})
    )
    store.record(decision(2))
    assert await store.report([outcome("k\ud800", value="\ud800", metric="\ud800")]) == (True,)
    assert await store.report([outcome("k\ud800", value="\ud800", metric="\ud800")]) == (False,)
    assert {row.decision_id for row in (await store.decisions(10)).decisions} == {"d1", "d2"}
    assert len(await store.outcomes("d1")) == 1


async def test_ids_with_a_nul_in_them_keep_no_other_rows_from_the_store(store):
    store.record(dataclasses.replace(decision(1), tenant="a\0b", decision_id="d\0"))
    store.record(decision(2))
    told = outcome("k\0", decision_id="", session_id="s\0", tenant="a\0b", supersedes="j\0")
    assert await store.report([told, outcome("k", decision_id="d2")]) == (True, True)
    assert await keys(store, "d2") == ["k"]
    assert len((await store.decisions(10)).decisions) == 2
    assert len((await store.decisions(10, tenant="a\0b")).decisions) == 1


async def test_closing_twice_is_closing(store):
    store.record(DECISION)
    await store.close()
    await store.close()
