"""Faults of real processes in their short form; `make chaos` does all of them for as long as they should be survived."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from training.chaos.faults import FAULTS
from training.chaos.run import PROBE_S, Check, run
from training.store_bench.postgres_server import postgres_server

BY_NAME = {fault.name: fault for fault in FAULTS}
TIMED = ("s", "x")  # units of checks that say how busy the machine is beside this test


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that PostgreSQL's own user may enter."""
    made = Path(tempfile.mkdtemp(prefix="chaos-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.mark.postgres
@pytest.mark.timeout(240)
async def test_a_store_that_is_stopped_and_a_full_disk_cost_no_caller_anything_and_lose_nothing(folder):
    with postgres_server(folder / "postgres") as postgres:
        found = await run(BY_NAME["disk-full"], folder, postgres, short=True, users=12)
    assert not [check for check in found.checks if not check.holds and not check.name.endswith(TIMED)], found
    assert found.queries > 0
    told_s = next(check.value for check in found.checks if check.name.startswith("report told"))
    # a report is refused, or waits behind rows until the store is back: which of them, the first to ask decides
    assert found.refusals or told_s > 2.0, "the store was never away"


def test_every_fault_has_a_name_of_its_own_and_says_what_it_is():
    assert len(BY_NAME) == len(FAULTS)
    assert all(fault.says and fault.do.__doc__ and fault.short_s < fault.seconds for fault in FAULTS)


def test_a_check_holds_up_to_its_limit():
    assert Check("liveness p95, s", PROBE_S, PROBE_S).holds
    assert not Check("rows lost", 1, 0).holds
