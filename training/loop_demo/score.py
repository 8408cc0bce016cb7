"""What bundles are really worth: `python -m training.loop_demo.score JOB.json RESULT.json`, with all rewards.

A bundle decides the held-out queries by the live allocator; no query of them was ever asked of the service. `sure` is
its best plan each time, `served` the policy with its exploration (the mean over some draws).
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import numpy as np

from predictors.bundle import Bundle
from predictors.bundle_files import load_bundle
from router.config import Config
from router.configuration.file import load
from router.recording import Recording
from training.loop_demo.prepare import SWAPPED
from training.replay_run import replay

DRAWS = 2


class Job(msgspec.Struct, frozen=True):
    """What to score."""

    whole: str
    config: str
    held_out: list[str]
    bundles: dict[str, str]  # version -> folder
    before: list[str]  # versions to score in the world as recorded
    after: list[str]  # and in the one with the backends exchanged


class Worth(msgspec.Struct, frozen=True):
    """Of one bundle in one world."""

    quality: float
    cost: float  # dollars per 1,000 queries
    utility: float  # quality - price * cost
    served_utility: float  # the same with exploration


class Result(msgspec.Struct, frozen=True):
    """By version, in the world as recorded and with the backends exchanged."""

    before: dict[str, Worth]
    after: dict[str, Worth]


def score(job: Job) -> Result:
    """All bundles in both worlds."""
    recording = Recording.load(Path(job.whole), hidden=False)
    config = load(Path(job.config))
    sure = msgspec.structs.replace(config, policy="utility", bundles="")
    found: list[dict[str, Worth]] = []
    for mark, versions in (("", job.before), (SWAPPED, job.after)):
        ids = [name + mark for name in job.held_out]
        worlds: dict[str, Worth] = {}
        for version in versions:
            bundle = load_bundle(job.bundles[version])
            quality, cost = _mean(sure, recording, ids, bundle)
            served = []
            for seed in range(DRAWS):
                drawn = msgspec.structs.replace(config, seed=1000 + seed, bundles="")
                mean, spent = _mean(drawn, recording, ids, bundle)
                served.append(mean - config.price * spent)
            worlds[version] = Worth(quality, 1000 * cost, quality - config.price * cost, sum(served) / DRAWS)
        found.append(worlds)
    return Result(*found)


def _mean(config: Config, recording: Recording, ids: list[str], bundle: Bundle) -> tuple[float, float]:
    """Mean reward, and dollars per query, of the backends that are chosen.

    A reply earns the mean of all that was recorded of its backend for its query, not of the one sample that was drawn:
    with some hundred queries single draws would blur what bundles differ by.
    """
    seen, rewards, cost = recording.columns, 0.0, 0.0
    for one in replay(config, recording, ids, predictions=bundle):
        rows = recording.rows(one.place, one.decision.samples[-1].backend)
        known = np.arange(rows.start, rows.stop)
        known = known[seen.finished[known] & np.isfinite(seen.reward[known])]
        rewards += float(seen.reward[known].mean())
        cost += float(seen.cost[known].mean())
    return rewards / len(ids), cost / len(ids)


if __name__ == "__main__":
    result = score(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Job))
    Path(sys.argv[2]).write_bytes(msgspec.json.encode(result))
