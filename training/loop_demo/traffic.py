"""Rounds of queries through the real client; feedback on some of them, half of it late, some of it wrong."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from router.backends.recorded import QUERY_ID
from router.client import Client, Reply, Report
from router.recording import Recording

SIDE_BY_SIDE = 8


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of traffic was."""

    bundles: tuple[str, ...]  # that decided, the most frequent first
    quality: float  # mean true reward of all replies
    cost: float  # dollars per 1,000 queries
    plans: dict[str, float]  # share of the queries
    reports: tuple[Report, ...] = field(compare=False)  # what will be told about it, in random order
    failed: int = 0


def ask_round(
    address: str,
    recording: Recording,
    ids: Sequence[str],
    number: int,
    *,
    feedback: float,
    wrong: float,
    seed: int,
) -> Round:
    """Ask for these queries in order; report on a share `feedback` of them, a share `wrong` of that turned round."""
    replies = asyncio.run(_asked(address, recording, ids, number))
    chance = random.Random(f"{seed}/{number}")
    rewards, cost, plans, reports, bundles = [], 0.0, dict[str, float](), [], dict[str, int]()
    for name, reply in zip(ids, replies, strict=True):
        reward = true_reward(recording, name, reply)
        rewards.append(reward)
        cost += reply.usage.cost_exact * 1e-6
        plans[reply.decision.plan] = plans.get(reply.decision.plan, 0.0) + 1 / len(ids)
        bundles[reply.decision.bundle] = bundles.get(reply.decision.bundle, 0) + 1
        if chance.random() < feedback:
            told = 1.0 - reward if chance.random() < wrong else reward
            reports.append(Report("reward", told, decision_id=reply.decision_id, source="user"))
    chance.shuffle(reports)
    most_first = tuple(sorted(bundles, key=lambda one: -bundles[one]))
    return Round(most_first, sum(rewards) / len(ids), 1000 * cost / len(ids), plans, tuple(reports))


def report(address: str, reports: Sequence[Report]) -> int:
    """How many were committed."""

    async def told() -> int:
        async with Client(address) as client:
            return (await client.report_many(list(reports))).committed

    return asyncio.run(told()) if reports else 0


async def _asked(address: str, recording: Recording, ids: Sequence[str], number: int) -> list[Reply]:
    gate = asyncio.Semaphore(SIDE_BY_SIDE)

    async def ask(client: Client, place: int, name: str) -> Reply:
        async with gate:
            return await client.generate(
                recording.queries[recording.index_of(name)].query,
                request_id=f"round-{number}-{place}",
                metadata={QUERY_ID: name},
                return_samples=True,
            )

    async with Client(address, timeout_s=60.0) as client:
        return list(await asyncio.gather(*(ask(client, place, name) for place, name in enumerate(ids))))


def true_reward(recording: Recording, name: str, reply: Reply) -> float:
    """The recorded reward of the sample that answered: the last one that was drawn."""
    sample = reply.samples[-1]
    rows = recording.rows(recording.index_of(name), sample.backend)
    for row in range(rows.start, rows.stop):
        if recording.columns.sample_idx[row] == sample.index and recording.columns.finished[row]:
            return float(recording.columns.reward[row])
    return 0.0
