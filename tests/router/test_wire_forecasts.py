"""Forecasts and durations on the wire, written field by field: the messages that they would be in one piece."""

from __future__ import annotations

import pytest
from google.protobuf.duration_pb2 import Duration

from router.domain.choice import Forecast
from router.domain.plan import Plan
from router.v1 import apportion_router_pb2 as pb
from router.wire.checks import duration, set_duration
from router.wire.decision import tell_forecasts


def test_forecasts_are_told_as_they_are():
    items = [Forecast(Plan("a", ()), None, 12.5, 0.0, 13), Forecast(Plan("b", ()), 0.0, 0.0, 61.25)]
    told = pb.EstimateCostReply()
    tell_forecasts(told, items, {"a": 0.75})
    assert list(told.forecasts) == [
        pb.PlanForecast(plan="a", cost=12.5, worst_cost=13, probability=0.75, latency=Duration()),
        pb.PlanForecast(plan="b", quality=0.0, latency=Duration(seconds=61, nanos=250_000_000)),
    ]
    assert [one.HasField("latency") for one in told.forecasts] == [True, True]
    assert [one.HasField("quality") for one in told.forecasts] == [False, True]


@pytest.mark.parametrize(
    ("value_s", "seconds", "nanos"),
    [(0.0, 0, 0), (1.5, 1, 500_000_000), (0.9999999999, 0, 999_999_999), (86_400.25, 86_400, 250_000_000)],
)
def test_a_duration_written_in_place_is_the_one_made_apart(value_s, seconds, nanos):
    sample = pb.SampleInfo()
    set_duration(sample.latency, value_s)
    assert sample.HasField("latency")
    assert sample.latency == duration(value_s) == Duration(seconds=seconds, nanos=nanos)
