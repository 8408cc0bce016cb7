"""Rows as the allocator logs them, and the page of a service that was just built."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from predictors.observation import Constraints, Message, Part, Query
from router.assemble import Service, assemble
from router.config import Config
from router.domain.decision import Decision, Mode
from router.domain.options import Options
from router.telemetry.decision_metrics import DecisionMetrics
from router.telemetry.exposition import Metrics, exposed
from router.telemetry.outcome_metrics import OutcomeMetrics
from router.telemetry.state_metrics import StateMetrics

SETTINGS: dict[str, Any] = {
    "backends": {
        "small": {"kind": "scripted", "script": ["4", "4", "5"], "price_in": 1.0, "price_out": 2.0},
        "broken": {"kind": "scripted", "script": ["!unavailable"]},
    },
    "plans": [
        {"name": "one", "stages": [{"backend": "small"}]},
        {
            "name": "vote",
            "stages": [{"backend": "small", "max_samples": 3, "stop": {"kind": "agreement", "needed": 2}}],
        },
        {"name": "broken", "stages": [{"backend": "broken"}]},
    ],
    "reference": "one",
    "untrained": "vote",
    "budget": {"dollars": 2.0},
    "store": {"sqlite": ":memory:"},
}


def made_row(**fields: Any) -> Decision:
    """A row of which only what a test names matters."""
    usual: dict[str, Any] = {
        "decision_id": "d1",
        "request_id": "r1",
        "replica": "here",
        "sequence": 1,
        "created_at": 1.0,
        "tenant": "default",
        "session_id": "",
        "mode": Mode.APPLY,
        "policy": "utility",
        "bundle": "1",
        "price": 0.0,
        "plan": "one",
        "digest": "d",
        "propensity": 1.0,
        "probabilities": {"one": 1.0},
        "digests": {"one": "d"},
        "explored": False,
        "usable": True,
    }
    return Decision(**{**usual, **fields})


class Watched:
    """A service with its metrics; `page` is what a scrape says, sample by sample."""

    def __init__(self, service: Service, **state: Any) -> None:
        self.service = service
        books = service.allocator.books
        self.admission = SimpleNamespace(draining=False, queries=0, max_queries=7, waiting_s=0.0)
        self.metrics = Metrics(
            DecisionMetrics(2),
            OutcomeMetrics(),
            StateMetrics(books, self.admission, "1.2", 5.0, service.shadows, **state),
        )
        books.onlookers.append(self.metrics.seen)
        self.registry = self.metrics.registry()

    async def ask(self, plan: str = "", tenant: str = "default", name: str = "r") -> None:
        asked = (Message("user", (Part(text="2 + 2?"),)),)
        query = Query(name, asked, tenant=tenant, constraints=Constraints(plan=plan))
        async for _ in self.service.answers.run(query, Options()):
            pass

    @property
    def page(self) -> dict[str, float]:
        """`name{labels}` -> value."""
        text = exposed(self.registry, "")[0].decode()
        lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in lines}


@pytest.fixture
async def watched() -> AsyncIterator[Callable[..., Watched]]:
    """Builds services; `watched(budget={…})` changes sections."""
    built: list[Service] = []

    def build(*, base: Path = Path(), state: dict[str, Any] | None = None, **sections: Any) -> Watched:
        service = assemble(msgspec.convert({**SETTINGS, **sections}, Config), base=base)
        built.append(service)
        return Watched(service, **(state or {}))

    yield build
    for service in built:
        await service.close()


@pytest.fixture
def row() -> Callable[..., Decision]:
    """Makes rows of which only what a test names matters."""
    return made_row
