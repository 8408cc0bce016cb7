"""What an evaluation takes for what was spent: rows whose queries were only decided do not say it."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from predictors.observation import Message, Part, Query
from router.assemble import assemble
from router.configuration.file import load
from router.domain.decision import Outcome
from router.domain.events import Done
from router.domain.options import Options
from training.cycle.policy import Wanted
from training.cycle.rows import compared, read_rows
from training.log.export import export_log
from training.off_policy.usable import BAD_COST


class Uniform:
    """A policy that wants all plans alike."""

    def __init__(self, plans: dict[str, str]) -> None:
        self.plans = plans

    def wanted(self, texts, feasible, price) -> Wanted:
        shape = (len(texts), len(self.plans))
        half, unknown = np.full(shape, 1 / len(self.plans)), np.full(shape, np.nan)
        return Wanted(tuple(self.plans), tuple(self.plans.values()), half, unknown, unknown)


async def decided_and_answered(folder, queries: int) -> dict[str, str]:
    """Half of the queries are decided and their callers ask the models; all are rewarded. Plan -> digest."""
    service = assemble(load(folder / "router.toml"), base=folder)
    outcomes = []
    try:
        for number in range(queries):
            query = Query(f"r{number}", (Message("user", (Part(text=f"query {number}"),)),))
            if number % 2:
                made = [(await service.allocator.decide(query, Options())).decision]
            else:
                events = service.allocator.run(query, Options())
                made = [event.decision async for event in events if isinstance(event, Done)]
            outcomes.append(Outcome(f"o{number}", "reward", 1.0, "number", made[0].decision_id))
        await service.store.report(outcomes)
        return {plan.name: plan.digest for plan in service.allocator.books.chooser.menu.plans}
    finally:
        await service.close()


def test_a_query_that_was_only_decided_is_not_taken_to_have_cost_nothing(toml, tmp_path):
    (tmp_path / "router.toml").write_text(toml)
    plans = asyncio.run(decided_and_answered(tmp_path, 60))
    export_log(str(tmp_path / "decisions.db"), str(tmp_path / "log"), now_s=2e9, workers=1)
    config = load(tmp_path / "router.toml")
    rows = read_rows(str(tmp_path / "log"), config, since=0.0, until=3e9, now_s=3e9, held_out=0.999)
    assert rows.held_out.sum() == 60
    policy: Any = Uniform(plans)
    found = compared(rows, policy, policy)
    assert len(found.logged) == 30
    assert (found.logged.cost > 0).all()
    assert found.logged.unusable == {BAD_COST: 30}
