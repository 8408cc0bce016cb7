"""What the store has when all is quiet: every answered row once, every acknowledged outcome once, and the money."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass

from router.decisions.read_only import open_read_only
from training.chaos.idle_clients import SLOW
from training.chaos.load import Seen
from training.chaos.world import World

SETTLES_WITHIN_S = 40.0


@dataclass(frozen=True, slots=True)
class Settled:
    """Counts; all but the first three should be 0."""

    rows: int
    outcomes: int
    strangers: int  # rows of queries whose answers nobody read: work that was asked for, too
    rows_lost: int  # of queries that were answered
    rows_twice: int
    outcomes_lost: int  # of those that were acknowledged
    outcomes_twice: int
    problems: tuple[str, ...]  # of the audit


def settled(world: World, seen: Seen) -> Settled:
    """Wait until the rows of all answers are there (or the time is over), end the replicas, count, audit."""
    wanted = {one.decision_id for one in seen.answered}
    ends = time.monotonic() + SETTLES_WITHIN_S
    while wanted - {decision_id for decision_id, _ in _rows(world)} and time.monotonic() < ends:
        time.sleep(0.5)
    for replica in world.replicas:
        replica.stop()
    logged = _rows(world)
    rows = Counter(decision_id for decision_id, _ in logged)
    with open_read_only(world.store) as look:
        keys = Counter(outcome.key for _, _, outcome in look.numbered_outcomes(0, look.ends.outcomes))
    return Settled(
        rows.total(),
        keys.total(),
        sum(tenant == SLOW for _, tenant in logged),
        len(wanted - set(rows)),
        sum(count - 1 for count in rows.values()),
        len(seen.reported - set(keys)),
        sum(count - 1 for count in keys.values()),
        tuple(_audit(world)),
    )


def _rows(world: World) -> list[tuple[str, str]]:
    """Decision and tenant of each."""
    with open_read_only(world.store) as look:
        return [(row.decision_id, row.tenant) for row in look.decisions(0.0, 1e12) if row is not None]


def _audit(world: World) -> list[str]:
    command = [sys.executable, "-m", "router", "audit", "--json", "--config", str(world.replicas[0].config)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (our own)
    try:
        return [str(problem) for problem in json.loads(run.stdout)["problems"]]
    except (ValueError, KeyError):
        return [f"the audit failed: {run.stderr[-500:]}"]
