"""Where batches are kept: once, by one replica at a time, in a file or on a server."""

from __future__ import annotations

from typing import Any

import pytest

from router.batches.batch import Batch, BatchState, Result
from router.batches.kept import HOLD_S, KEEP_S, Batches, open_batches
from router.errors import RequestConflict, UnknownName


@pytest.fixture(params=["sqlite", "memory", "postgresql"])
def clocked(request, tmp_path):
    """A store whose clock the test moves (a server has its own)."""
    now = [1_700_000_000.0]  # far from 0, where "long over" begins
    address = {"sqlite": "budgets.db", "memory": ":memory:"}.get(request.param)
    if address is None:
        address = request.getfixturevalue("postgres_address")
    found = open_batches(address, tmp_path, lambda: now[0])
    yield found, now, request.param
    found.close()


def keep(store: Batches, batch_id: str = "b", queries: int = 3, **fields: Any) -> Batch:
    bodies = [b"query %d" % at for at in range(queries)]
    return store.add(Batch(batch_id, "acme", queries, **fields), b"digest", bodies)


def test_a_batch_is_kept_once(clocked):
    store, _, _ = clocked
    first = keep(store, budget=500)
    assert keep(store, budget=500) == first
    assert (first.total, first.done, first.state) == (3, 0, BatchState.RUNNING)
    assert [item.body for item in store.waiting("b")] == [b"query 0", b"query 1", b"query 2"]


def test_other_queries_under_its_id_are_refused(clocked):
    store, _, _ = clocked
    keep(store)
    with pytest.raises(RequestConflict, match="'b' stands for other queries"):
        store.add(Batch("b", "acme", 1), b"another", [b"x"])


def test_nobody_else_takes_what_is_held(clocked):
    store, _, _ = clocked
    keep(store)
    assert store.take("one") == ["b"]
    assert store.take("two") == []
    assert store.take("one") == ["b"]
    store.leave("one")
    assert store.take("two") == ["b"]


def test_what_a_dead_replica_held_is_taken_when_its_time_is_over(clocked):
    store, now, kind = clocked
    if kind == "postgresql":
        pytest.skip("the clock is the server's")
    keep(store)
    store.take("one")
    store.begin("b", 1, 70)
    now[0] += HOLD_S + 1
    assert store.take("two") == ["b"]
    assert len(store.waiting("b")) == 3
    assert store.get("b").spent == 70


def test_results_are_numbered_as_they_come_and_come_once(clocked):
    store, _, _ = clocked
    keep(store)
    store.begin("b", 2, 50)
    store.finish("b", Result(2, b"two", cost=5))
    store.finish("b", Result(0, b"zero", failed=True))
    store.finish("b", Result(2, b"again", cost=5))
    found = store.results("b", 0, 10)
    assert [(one.position, one.body, one.failed) for one in found] == [(2, b"two", False), (0, b"zero", True)]
    assert store.results("b", found[0].number, 10) == found[1:]
    status = store.get("b")
    assert (status.done, status.failed, status.spent) == (1, 1, 5)
    assert [item.position for item in store.waiting("b")] == [1]


def test_a_batch_that_ended_stays_ended(clocked):
    store, _, _ = clocked
    keep(store)
    assert store.end("b", BatchState.CANCELLED).state is BatchState.CANCELLED
    assert store.end("b", BatchState.DONE).state is BatchState.CANCELLED
    assert store.take("one") == []


def test_old_batches_go(clocked):
    store, now, kind = clocked
    if kind == "postgresql":
        pytest.skip("the clock is the server's")
    keep(store)
    store.take("one")
    store.end("b", BatchState.DONE)
    now[0] += KEEP_S + HOLD_S + 1
    store.take("one")
    with pytest.raises(UnknownName, match="batch 'b'"):
        store.get("b")


@pytest.mark.parametrize("state", [BatchState.DONE, BatchState.CANCELLED, BatchState.EXHAUSTED])
def test_what_a_stopped_replica_had_finished_is_kept(clocked, state):
    store, _, _ = clocked
    keep(store)
    store.take("one")
    store.finish("b", Result(0, b"zero", cost=5))
    store.end("b", state)
    store.leave("one")
    store.take("one")
    assert [one.body for one in store.results("b", 0, 10)] == [b"zero"]


def test_a_batch_that_is_cancelled_before_anybody_held_it_is_kept(clocked):
    store, _, _ = clocked
    keep(store)
    store.end("b", BatchState.CANCELLED)
    store.take("one")
    assert store.get("b").state is BatchState.CANCELLED


def test_a_tenants_batches_are_forgotten_and_nobody_elses(clocked):
    store, _, _ = clocked
    keep(store)
    keep(store, "done")
    store.finish("done", Result(0, b"words", cost=5))
    store.end("done", BatchState.DONE)
    store.add(Batch("theirs", "others", 1), b"digest", [b"query"])
    assert store.forget("acme") == 2
    with pytest.raises(UnknownName):
        store.results("done", 0, 10)
    assert store.take("one") == ["theirs"] and len(store.waiting("theirs")) == 1


def test_more_money_lets_an_exhausted_batch_go_on_but_not_where_it_was_cancelled_meanwhile(clocked):
    store, _, _ = clocked
    keep(store, budget=0)
    store.end("b", BatchState.EXHAUSTED)
    assert keep(store, budget=500).state is BatchState.RUNNING
    store.end("b", BatchState.EXHAUSTED)
    assert store.end("b", BatchState.CANCELLED).state is BatchState.CANCELLED
    assert keep(store, budget=None).state is BatchState.CANCELLED
    keep(store, "done")
    store.end("done", BatchState.DONE)
    assert store.end("done", BatchState.CANCELLED).state is BatchState.DONE


def test_a_query_that_was_left_counts_with_what_it_has_cost_and_waits_again(kept, add):
    add([1, 2], budget=100)
    kept.waiting("b")
    kept.begin("b", 0, 40)
    kept.cut("b", 0, 40, 3)
    assert [item.position for item in kept.waiting("b")] == [0, 1]
    assert kept.get("b").spent == 3
    kept.begin("b", 0, 40)
    kept.finish("b", Result(0, b"four", cost=5))
    assert kept.get("b").spent == 8


def test_a_query_that_others_have_taken_up_meanwhile_counts_as_they_counted_it(kept, add):
    add([1], budget=100)
    kept.begin("b", 0, 40)
    kept.waiting("b")  # another replica's look
    kept.cut("b", 0, 40, 3)
    assert kept.get("b").spent == 40
