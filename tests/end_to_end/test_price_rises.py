"""A server with a budget over recorded backends: compute becomes dear as its money runs down, and nothing is overspent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from router.client import AdminClient, Client, OutOfBudget
from router.config import BudgetConfig
from router.recording import Recording
from training.demonstration.prepare import blind_copy
from training.fit import fit
from training.menu import menu_of
from training.menu_toml import toml_of

HOUSE = Path(__file__).resolve().parents[2] / "training" / "recordings" / "house"
QUERIES = 200
FIRST = 20


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A bundle, and a budget per hour for some 60 queries at the dearest plan."""
    folder: Path = tmp_path_factory.mktemp("priced")
    blind_copy(HOUSE, folder / "recording")
    labelled = Recording.load(HOUSE)
    config = menu_of(labelled, folder / "recording")
    plans = tuple(plan for plan in config.plans if len(plan.stages) == 1 and plan.stages[0].max_samples == 1)
    config = replace(config, plans=plans)
    fit(
        [labelled],
        [query.query_id for query in labelled.queries[QUERIES : QUERIES + 120]],
        None,
        0,
        folder / "bundle",
    )
    seen = labelled.columns
    dearest = max(
        float(seen.cost[(seen.backend == place) & seen.finished].mean())
        for place in range(len(labelled.backends))
    )
    budget = BudgetConfig(dollars=60 * dearest)
    (folder / "router.toml").write_text(
        toml_of(replace(config, bundle=str(folder / "bundle"), budget=budget))
    )
    return folder


@pytest.mark.timeout(240)
async def test_the_price_rises_as_money_runs_down_and_cheaper_plans_are_taken(home, server_of: Any):
    server = server_of(home / "router.toml")
    assert server.router, server.log
    prices, costs, waits = [], [], []
    async with Client(server.router) as client, AdminClient(server.admin) as admin:
        for query in Recording.load(home / "recording").queries[:QUERIES]:
            try:
                reply = await client.generate(
                    query.query,
                    request_id=query.query_id,
                    metadata={"x-recording-query-id": query.query_id},
                )
            except OutOfBudget as error:
                waits.append(error.retry_after_s or 0.0)
                continue
            prices.append(reply.decision.price)
            costs.append(reply.usage.cost_exact)
        found = await admin.budget()
    assert prices[0] == 0.0
    assert 0 < sum(prices[:FIRST]) / FIRST < sum(prices[-FIRST:]) / FIRST
    assert sum(costs[-FIRST:]) < sum(costs[:FIRST])
    assert found.price > 0
    assert found.balance.limit is not None and found.balance.spent <= found.balance.limit
    assert all(wait > 0 for wait in waits)
