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
from training.fit.from_recordings import fit
from training.menu import menu_of
from training.menu_toml import toml_of

HOUSE = Path(__file__).resolve().parents[2] / "training" / "recordings" / "house"
QUERIES = 200
FIRST = 20
WINDOW_S = 60.0  # so short that prices are worked out many times while the queries are asked


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A bundle, and a budget per minute for some 60 queries at the dearest plan."""
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
    budget = BudgetConfig(dollars=60 * dearest(), window_s=WINDOW_S)
    (folder / "router.toml").write_text(
        toml_of(replace(config, bundle=str(folder / "bundle"), budget=budget))
    )
    return folder


def dearest() -> float:
    """Mean dollars of an answer by the dearest backend."""
    recording = Recording.load(HOUSE)
    seen = recording.columns
    of = [seen.cost[(seen.backend == place) & seen.finished] for place in range(len(recording.backends))]
    return max(float(cost.mean()) for cost in of)


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
    assert prices[0] == 0.0 < prices[1]
    assert sum(prices[1 : FIRST + 1]) < sum(prices[-FIRST:])
    assert costs[0] > 0.5e6 * dearest() > 2 * sum(costs[-FIRST:]) / FIRST  # micro-dollars
    assert found.price > 0
    assert found.balance.limit is not None and found.balance.spent <= found.balance.limit
    assert all(wait > 0 for wait in waits)
