"""An allocator over scripted backends, with everything that it did in reach."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from predictors import Look
from predictors.observation import Message, Observation, Part, Query, Signals
from router.allocation.books import Books, Settings
from router.allocator import Allocator
from router.answering.classes import AnswerClasses
from router.backends.scripted import Scripted
from router.config import BackendConfig
from router.costs.worst_case import Bound
from router.domain.decision import Decision, Mode
from router.domain.events import Done, Event
from router.domain.options import Options
from router.domain.plan import Plan, Stage
from router.domain.speed import Speed
from router.domain.usage import Price
from router.first_decision.choose import Chooser, Menu
from router.first_decision.feasible import Feasibility
from router.first_decision.forecast import Forecaster
from router.ledger.in_process import in_process
from router.ledger.leased import Leased
from router.policies import Policy
from router.policies.fixed import Fixed
from router.policies.utility import Utility
from router.selectors.first import First
from router.selectors.majority import Majority
from router.stopping import StoppingRule
from router.stopping.never import Never
from router.switches.modes import Modes

DEFAULT = Options()


@dataclass
class Told:
    """Predictions that say what the test tells them."""

    signals: Mapping[str, float] = field(default_factory=dict)
    confidences: Sequence[float] = ()  # of the samples, in order of arrival
    version: str = "told"

    def look(self, query: Query) -> Look:
        return Look(self.signals)

    def confidence(self, seen: Observation, look: Look) -> Signals:
        if not self.confidences:
            return {}
        value = self.confidences[min(len(seen.samples), len(self.confidences)) - 1]
        return {"sample_confidence": value, f"sample_confidence/{seen.samples[-1].sample_id}": value}


@dataclass
class KeptRows:
    """A store that is a list."""

    rows: list[Decision] = field(default_factory=list)

    def record(self, decision: Decision) -> None:
        self.rows.append(decision)


@dataclass
class House:
    """The allocator and its surroundings."""

    allocator: Allocator
    backends: dict[str, Scripted]
    ledger: Leased
    store: KeptRows

    async def events(self, query: Query, options: Options = DEFAULT) -> list[Event]:
        return [event async for event in self.allocator.run(query, options)]

    async def done(self, query: Query, options: Options = DEFAULT) -> Done:
        last = (await self.events(query, options))[-1]
        assert isinstance(last, Done)
        return last


def ask(text: str = "What is 1 + 1?", request_id: str = "r1", **more: Any) -> Query:
    """A query of one user turn."""
    return Query(request_id=request_id, messages=(Message("user", (Part(text=text),)),), **more)


def one(backend: str, stop: StoppingRule | None = None, **more: Any) -> Stage:
    """A stage; majority over several samples."""
    select = Majority() if more.get("max_samples", 1) != 1 else First()
    return Stage(backend, stop or Never(), more.pop("select", select), **more)


def house(
    scripts: Mapping[str, Sequence[str]],
    plans: Mapping[str, Sequence[Stage]],
    *,
    policy: Policy | None = None,
    predictions: Told | None = None,
    budget: int | None = None,
    mode: Mode = Mode.APPLY,
    price: float = 0.0,
    max_tokens: int = 16,
) -> House:
    """The allocator over these scripts and plans; the last plan is the reference and the untrained one."""
    backends = {
        name: Scripted(name, BackendConfig(kind="scripted", script=tuple(script)))
        for name, script in scripts.items()
    }
    prices = {name: Price(1.0, 1.0, 10.0 * (index + 1)) for index, name in enumerate(backends)}
    menu_plans = tuple(Plan(name, tuple(stages)) for name, stages in plans.items())
    menu = Menu(menu_plans, menu_plans[-1], menu_plans[-1])
    forecaster = Forecaster(
        {name: Bound(prices[name], max_tokens, 8) for name in backends}, {name: Speed() for name in backends}
    )
    feasibility = Feasibility({name: backend.capabilities for name, backend in backends.items()}, forecaster)
    told = predictions or Told()
    chooser = Chooser(menu, policy or Utility(), "utility", told, forecaster, feasibility, price, 0.0, 0)
    reference = Fixed(menu.reference.name)
    bypass = Chooser(menu, reference, "reference", Told(), forecaster, feasibility, price, 0.0, 0)
    ledger = in_process(budget, 3600.0, time.monotonic)
    store = KeptRows()
    books = Books(
        chooser=chooser,
        bypass=bypass,
        prices=prices,
        ledger=ledger,
        store=store,  # type: ignore[arg-type]  # the allocator only records
        verifiers={},
        modes=Modes(mode),
        settings=Settings("test"),
        monotonic_s=time.monotonic,
        wall_s=lambda: 1_700_000_000.0,
        new_id=lambda query: f"d-{query.request_id}",
    )
    return House(Allocator(books, backends, AnswerClasses()), backends, ledger, store)


@pytest.fixture(name="build")
def build_fixture():
    """`house`: importlib mode lets no test import from here."""
    return house


@pytest.fixture(name="ask")
def ask_fixture():
    return ask


@pytest.fixture(name="one")
def one_fixture():
    return one


@pytest.fixture(name="told")
def told_fixture():
    return Told
