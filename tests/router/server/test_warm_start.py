"""What the first query would wait for is begun when the server starts."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from router.assemble import assemble
from router.config import Config
from router.server import Servers


@pytest.mark.parametrize(
    ("answers", "by_task", "begun"),
    [("math", {}, True), ("auto", {"algebra": "math"}, True), ("auto", {}, False)],
)
async def test_the_process_for_mathematics_starts_with_the_server_where_answers_are_read_so(
    answers, by_task, begun
):
    config = msgspec.convert(
        {
            "backends": {"small": {"kind": "scripted"}},
            "plans": [{"name": "small", "stages": [{"backend": "small"}]}],
            "answers": answers,
            "answers_by_task": by_task,
            "store": {"sqlite": ":memory:"},
            "server": {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0"},
        },
        Config,
    )
    service = assemble(config, base=Path())
    servers = Servers(service)
    await servers.start()
    try:
        assert (service.classes._started is not None) is begun
        if service.classes._started is not None:
            assert await service.classes._started is True
            assert service.classes._equivalence.process.worker is not None
    finally:
        await servers.stop()
        await service.close()
    assert service.classes._equivalence.process.worker is None
