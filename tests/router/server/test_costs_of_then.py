"""What a row cost is told as it was booked, whatever prices hold when it is read."""

from __future__ import annotations

from pathlib import Path

import grpc
import msgspec
import pytest

from predictors.observation import Message, Part, Query
from router.assemble import assemble
from router.config import Config
from router.domain.events import Done
from router.domain.options import Options
from router.server import Servers
from router.v1 import apportion_router_pb2 as pb
from router.v1 import apportion_router_pb2_grpc as pb_grpc

DATED = {
    "backends": {
        "small": {
            "kind": "scripted",
            "script": ["4"],
            "price_out": 1.0,
            "prices": [{"since": "2023-11-15", "price_out": 100.0}],
        }
    },
    "plans": [{"name": "small", "stages": [{"backend": "small", "max_samples": 2}]}],
    "reference": "small",
    "store": {"sqlite": ":memory:"},
    "server": {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0"},
}


async def test_backends_and_samples_of_an_old_row_add_up_after_a_change_of_prices(tmp_path: Path) -> None:
    now = [1_700_000_000.0]  # before the date
    service = assemble(msgspec.convert(DATED, Config), base=tmp_path, wall_s=lambda: now[0])
    servers = Servers(service)
    addresses = await servers.start()
    try:
        query = Query("r", (Message("user", (Part(text="What is 2 + 2?"),)),))
        events = [event async for event in service.answers.run(query, Options())]
        assert isinstance(events[-1], Done)
        row = events[-1].decision
        now[0] += 10_000
        assert service.allocator.estimate(query, Options()).choice.plan.name == "small"  # prices change
        async with grpc.aio.insecure_channel(addresses.admin) as channel:
            admin = pb_grpc.AdminStub(channel)
            listed = (await admin.ListDecisions(pb.ListDecisionsRequest())).decisions
            one = await admin.GetDecision(pb.GetDecisionRequest(decision_id=row.decision_id))
    finally:
        await servers.stop()
        await service.close()
    for told in (*listed, one.decision):
        assert told.usage.total.cost_exact == pytest.approx(row.cost)
        assert told.usage.by_backend["small"].cost_exact == pytest.approx(row.cost)
        assert sum(sample.usage.cost_exact for sample in told.samples) == pytest.approx(row.cost)
