"""What is read when somebody asks: who serves, what is left, which backends answer, where rows wait."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from router.allocation.books import Books
from router.auth.certificates import PortCertificates
from router.backends import Breakers
from router.domain.plan import Plan
from router.ledger import Balance
from router.shadow import Shadows
from router.stopping.confident import Confident
from router.telemetry.accumulators import Read

STATES = ("enable", "drain", "disable", "quarantine")
MOST_ACCOUNTS = 50  # an account per tenant is possible


class Running(Protocol):
    """Who is in; shared with the doors."""

    draining: bool
    queries: int
    max_queries: int

    @property
    def waiting_s(self) -> float:
        """How long calls stand in line before they come in."""
        ...


@dataclass(frozen=True, slots=True)
class StateMetrics:
    """Reads the parts of one replica. Blocks for nothing."""

    books: Books
    admission: Running
    version: str
    started_at: float  # seconds since the epoch
    shadows: Shadows | None = None
    refused: Mapping[tuple[str, str], int] = field(default_factory=dict)  # (door, reason) -> calls
    spans: Callable[[], Mapping[str, int]] = dict  # what became of them
    backends: Mapping[str, object] = field(default_factory=dict)  # those that are `Breakers` are asked
    certificates: PortCertificates = PortCertificates()  # noqa: RUF009 (frozen)

    def readings(self) -> dict[str, Read]:
        """By the name of the metric."""
        books, admission = self.books, self.admission
        chooser = books.chooser
        serving = (
            self.version,
            books.modes.default.value,
            chooser.name_on_record,
            chooser.predictions.version,
        )
        found: dict[str, Read] = {
            "apportion_serving_info": {serving: 1.0},
            "apportion_started_seconds": {(): self.started_at},
            "apportion_running_queries": {(): float(admission.queries)},
            "apportion_waiting_seconds": {(): admission.waiting_s},
            "apportion_most_queries": {(): float(admission.max_queries)},
            "apportion_draining": {(): float(admission.draining)},
            "apportion_ledger_troubles": {(): float(len(books.ledger.troubles))},
            "apportion_promised_risk": promised_risks(chooser.menu.plans),
        }
        ends = {("callers",): self.certificates.callers, ("admin",): self.certificates.admin}
        found["apportion_certificate_end_seconds"] = {
            port: shown.until for port, shown in ends.items() if shown is not None
        }
        return found | self.counted() | self._accounts() | self._backends() | self._store()

    def counted(self) -> dict[str, Read]:
        """Of these what only grows, without the store's."""
        found: dict[str, Read] = {
            "apportion_refused_total": {labels: float(count) for labels, count in self.refused.items()},
            "apportion_spans_total": {(result,): float(count) for result, count in self.spans().items()},
        }
        found["apportion_backend_hedges_total"] = {
            (name,): float(backend.hedges)
            for name, backend in self.backends.items()
            if isinstance(backend, Breakers)
        }
        if self.shadows is not None:
            counts = self.shadows.counts
            found["apportion_shadow_runs_total"] = {
                ("over_budget",): float(counts.over_budget),
                ("crowded",): float(counts.crowded),
            }
        return found

    def _accounts(self) -> dict[str, Read]:
        balances = tuple(self.books.ledger.balances())[:MOST_ACCOUNTS]
        found: dict[str, dict[tuple[str, ...], float]] = {f"apportion_budget_{name}": {} for name in BALANCE}
        for balance in balances:
            place = (balance.account, balance.unit)
            for name, read in BALANCE.items():
                amount = read(balance)
                if amount is not None:
                    found[f"apportion_budget_{name}"][place] = amount * 1e-6
        prices: Read = {(one.account,): self.books.price_of(one.account) for one in balances}
        ages: Read = {(one.account,): one.age_s for one in balances}
        return {**found, "apportion_price": prices, "apportion_budget_age_seconds": ages}

    def _backends(self) -> dict[str, Read]:
        switch = self.books.chooser.feasibility.switch
        names, speeds = tuple(self.books.prices), self.books.chooser.forecaster.speeds
        states = {name: switch.state(name).value for name in names}
        states |= {name: "quarantine" for name in names if "in quarantine" in switch.objection(name)}
        return {
            "apportion_backend_state": {
                (name, state): float(states[name] == state) for name in names for state in STATES
            },
            "apportion_backend_urls": {
                (name, state): float(count)
                for name, backend in self.backends.items()
                if isinstance(backend, Breakers)
                for state, count in zip(("answering", "resting"), backend.urls(), strict=True)
            },
            "apportion_backend_first_token_seconds": {
                (name,): speed.first_token_s for name, speed in speeds.items()
            },
            "apportion_backend_tokens_per_second": {
                (name,): speed.tokens_per_second for name, speed in speeds.items()
            },
            "apportion_backend_samples_running": {(name,): float(switch.in_flight(name)) for name in names},
        }

    def _store(self) -> dict[str, Read]:
        return of_store(self.books.store, self.books.decided)


def of_store(store: object, recorded: int) -> dict[str, Read]:
    """How a store does, to which so many rows were given."""
    health = getattr(store, "health", None)
    if health is None:  # a store in memory
        return {"apportion_store_rows_total": {("committed",): float(recorded)}}
    rows = {"committed": health.committed, "spooled": health.spooled}
    rows |= {"dropped": health.dropped, "lost": health.lost}
    return {
        "apportion_store_rows_total": {(result,): float(count) for result, count in rows.items()},
        "apportion_store_queued_rows": {(): float(health.queued)},
        "apportion_store_spool_rows": {(): float(health.in_spool)},
        "apportion_store_away": {(): float(bool(health.away))},
    }


def _over(balance: Balance) -> float | None:
    return None if balance.limit is None else float(max(0, balance.spent - balance.limit))


BALANCE: Mapping[str, Callable[[Balance], float | None]] = {
    "limit": lambda balance: balance.limit,
    "spent": lambda balance: balance.spent,
    "reserved": lambda balance: balance.reserved,
    "left": lambda balance: balance.left,
    "leased": lambda balance: balance.leased,
    "lost": lambda balance: balance.lost,
    "breached": lambda balance: balance.breached,
    "over": _over,
}


def promised_risks(plans: tuple[Plan, ...]) -> dict[tuple[str, ...], float]:
    """The sum of what a plan's stages promise: each bounds the share of all queries that are lost there."""
    found: dict[tuple[str, ...], float] = {}
    for plan in plans:
        risks = [
            stage.stop.risk for stage in plan.stages if isinstance(stage.stop, Confident) and stage.stop.risk
        ]
        if risks:
            found[plan.name,] = sum(risks)
    return found
