"""Mixed load in its short form: every kind of call is made, errors would be seen, outcomes are counted in the store."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from training.suites.serving.mixed import KINDS, Mixed, caller
from training.suites.serving.processes import served
from training.suites.serving.prompts import prompts
from training.suites.serving.soak import GROWS_AT_MOST, Soaked, kept_up, soak, table

CONFIG = """
[store]
sqlite = "soak.db"
[backends.small]
kind = "scripted"
script = ["the answer is 42"]
price_out = 1.0
[[plans]]
name = "one"
stages = [{ backend = "small" }]
[budget]
dollars = 100000.0
[server]
http_listen = "127.0.0.1:0"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "router.toml"
    path.write_text(CONFIG)
    return path


@pytest.mark.timeout(180)
async def test_six_seconds_of_mixed_load_fail_nothing_lose_nothing_and_leave_memory_as_it_was(config):
    with served(config, "soak") as server:
        found = await soak(config, server, minutes=0.1, step_s=0.3, seed=0)
    assert found.failed == {}
    assert set(found.done) == set(KINDS)
    assert (found.lost, found.twice) == (0, 0)
    assert found.reported > 0
    assert found.growth < 0.2  # seconds are no warm-up; the long form is held to 0.05
    assert "failed" in list(table(found).columns[0].cells)


async def test_what_a_service_refuses_or_cannot_do_is_told_by_its_words(config):
    config.write_text(CONFIG.replace('script = ["the answer is 42"]', 'script = ["!unavailable"]'))
    with served(config, "soak") as server:
        async with caller(server, prompts(0)) as one:
            seen = await one.run(40.0, 0.5)
    assert any(said.startswith("Generate: UNAVAILABLE") for said in seen.failed)
    assert any(said.startswith("door: HTTP 503") for said in seen.failed)
    assert not kept_up(seen)


def soaked(**changes: object) -> Soaked:
    """One that holds, changed."""
    usual: dict[str, object] = {
        "capacity_per_s": 10.0,
        "per_s": 8.0,
        "minutes": 1.0,
        "calls": 480,
        "done": {},
        "refused": 3,
        "failed": {},
        "p50_ms": 1.0,
        "p99_ms": 9.0,
        "p99_ms_by_kind": {},
        "late_seconds": [],
        "rss_mb": [],
        "warm_mb": 100.0,
        "last_mb": 105.0,
        "reported": 9,
        "lost": 0,
        "twice": 0,
    }
    return Soaked(**(usual | changes))  # type: ignore[arg-type]


def test_memory_may_grow_by_a_twentieth_and_refusals_are_no_failures():
    assert soaked().growth == pytest.approx(GROWS_AT_MOST)
    assert soaked(last_mb=104.9).holds


@pytest.mark.parametrize("change", [{"last_mb": 105.1}, {"failed": {"x": 1}}, {"lost": 1}, {"twice": 1}])
def test_growth_failures_and_outcomes_that_are_lost_or_twice_do_not_hold(change):
    assert soaked(last_mb=100.0).holds
    assert not soaked(**({"last_mb": 100.0} | change)).holds


def test_a_rate_with_refusals_or_late_answers_is_too_high():
    assert kept_up(Mixed(latencies_s=defaultdict(list, Decide=[0.001] * 100)))
    assert not kept_up(Mixed(latencies_s=defaultdict(list, Decide=[0.001] * 100), refused=1))
    assert not kept_up(Mixed(latencies_s=defaultdict(list, Decide=[0.2] * 100)))
    assert not kept_up(Mixed())
