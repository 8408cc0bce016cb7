"""The source of hidden states dies while queries run: they are answered, and rows, replies and metrics say it."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from predictors.observation import Message, Part, Query
from router.assemble import assemble
from router.backends.hidden_box import PATIENCE
from router.backends.stub_process import StubProcess
from router.config import Config
from router.decisions.memory import Memory
from router.domain.decision import Decision, Status
from router.domain.events import Done
from router.domain.options import Options
from router.telemetry.decision_metrics import DecisionMetrics

AFTER = 2 * PATIENCE


def query(number: int) -> Query:
    return Query(f"r{number}", (Message("user", (Part(text=f"What is {number} + 2?"),)),), tenant="acme")


@pytest.fixture
async def rows(tmp_path: Path) -> list[Decision]:
    """Three queries with states, then as many without as the time-box has patience for, twice."""
    folder, done = tmp_path / "states", list[Decision]()
    with StubProcess("--states", str(folder)) as stub:
        small = {"urls": [stub.url], "model": "stub", "hidden": "connector", "hidden_at": str(folder)}
        settings = {
            "backends": {"small": small},
            "plans": [{"name": "one", "stages": [{"backend": "small"}]}],
            "store": {"sqlite": ":memory:"},
        }
        service = assemble(msgspec.convert(settings, Config), base=tmp_path, store=Memory())
        try:
            for number in range(3 + AFTER):
                if number == 3:
                    shutil.rmtree(folder)
                    folder.write_text("no folder any more")
                events = [event async for event in service.answers.run(query(number), Options())]
                done.extend(event.decision for event in events if isinstance(event, Done))
        finally:
            await service.close()
    return done


async def test_every_query_is_answered_and_says_how_its_states_were_had(rows):
    assert {row.status for row in rows} == {Status.ANSWERED}
    states = [row.samples[0].states for row in rows]
    assert states == ["there"] * 3 + ["late"] * PATIENCE + ["resting"] * (AFTER - PATIENCE)


async def test_what_is_missing_is_told_in_the_reply_and_counted(rows):
    assert [len(row.degraded) - len(rows[0].degraded) for row in rows] == [0] * 3 + [1] * AFTER
    assert "logprobs took their place" in rows[-1].degraded[-1]
    counted = DecisionMetrics(tenants=2)
    for row in rows:
        counted(row)
    found = counted.series()["apportion_hidden_states_total"].values
    assert found == {
        ("small", "there"): 3.0,
        ("small", "late"): PATIENCE,
        ("small", "resting"): AFTER - PATIENCE,
    }
