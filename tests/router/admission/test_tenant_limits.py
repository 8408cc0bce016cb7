"""A tenant asks so much a second and so much at a time; the others do not notice."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.admission import tenant_limits
from router.admission.tenant_limits import BURST_S, TenantLimits, limited
from router.config_access import LimitsConfig
from router.errors import Overloaded


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def limits(clock: Clock, **said: Any) -> TenantLimits:
    return TenantLimits(msgspec.convert(said, LimitsConfig), clock)


def refused(one: TenantLimits, tenant: str, *, running: bool = False) -> float:
    with pytest.raises(Overloaded) as caught:
        one.take(tenant, running=running)
    return caught.value.retry_after_s


def test_above_the_rate_a_query_is_refused_until_the_delay_is_over(clock):
    one = limits(clock, queries_per_s=2.0)
    for _ in range(4):
        one.take("a")
    wait_s = refused(one, "a")
    assert wait_s == pytest.approx(0.5)
    clock.now += wait_s
    one.take("a")
    refused(one, "a")


def test_another_tenant_has_a_rate_of_its_own(clock):
    one = limits(clock, queries_per_s=1.0)
    one.take("a")
    one.take("a")
    refused(one, "a")
    one.take("b")


def test_a_tenant_that_is_named_has_its_own_numbers(clock):
    one = limits(clock, queries_per_s=1.0, tenants={"a": {"queries_per_s": 0}, "b": {"in_flight": 1}})
    for _ in range(100):
        one.take("a")
    with one.enter("b"):
        refused(one, "b", running=True)
    one.take("b")
    refused(one, "b")  # of the rate, which is that of all


def test_so_many_run_at_a_time_and_an_end_makes_room(clock):
    one = limits(clock, in_flight=2)
    with ExitStack() as first:
        first.enter_context(one.enter("a"))
        with one.enter("a"), one.enter("b"):
            assert refused(one, "a", running=True) == 1.0
        first.enter_context(one.enter("a"))
        refused(one, "a", running=True)
    assert one._running == {}


def test_who_has_too_many_running_comes_again_after_as_long_as_a_query_takes(clock):
    one = limits(clock, in_flight=1)
    with one.enter("a"):
        clock.now += 4.0
    with one.enter("a"):
        assert refused(one, "a", running=True) == pytest.approx(4.0)


def test_a_query_that_fails_makes_room_too(clock):
    one = limits(clock, in_flight=1)
    for _ in range(3):
        with pytest.raises(ValueError, match="broken"), one.enter("a"):
            raise ValueError("broken")


def test_a_refused_query_does_not_cost_the_tenant_its_rate(clock):
    one = limits(clock, in_flight=1, queries_per_s=1.0)
    with one.enter("a"):
        for _ in range(10):
            refused(one, "a", running=True)
    one.take("a")


@given(st.lists(st.floats(0.0, 3.0), max_size=60), st.floats(0.2, 20.0))
def test_no_order_of_queries_gets_more_than_the_rate_and_a_burst(pauses, per_s):
    clock = Clock()
    one = limits(clock, queries_per_s=per_s)
    began, taken = clock.now, 0
    for pause in pauses:
        clock.now += pause
        try:
            one.take("a")
        except Overloaded:
            continue
        taken += 1
        assert taken <= max(1.0, BURST_S * per_s) + (clock.now - began) * per_s + 1e-6


def test_names_without_end_take_memory_with_an_end(clock, monkeypatch):
    monkeypatch.setattr(tenant_limits, "MOST_TENANTS", 10)
    one = limits(clock, queries_per_s=1.0, in_flight=1)
    for number in range(100):
        with one.enter(f"tenant {number}"):
            pass
    assert (len(one._buckets), len(one._running)) == (10, 0)


def test_without_limits_nothing_stands_before_the_allocator(clock):
    answers: Any = object()
    one = limits(clock)
    assert not one.on
    assert limited(answers, one) is answers
    with one.enter("a"), one.enter("a"):
        assert one._running == {}
