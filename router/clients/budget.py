"""What operators get back about budgets. Frozen; no generated code."""

from __future__ import annotations

from dataclasses import dataclass

from router.v1 import apportion_router_pb2 as pb
from router.wire.checks import from_duration


@dataclass(frozen=True, slots=True)
class AccountBalance:
    """Where an account stands, over all replicas; amounts in micro-units of `unit` (1,000,000 are one)."""

    account: str
    unit: str  # USD, tokens, gpu_seconds or a currency
    limit: int | None  # None: no limit
    spent: int  # in the window
    reserved: int  # by requests in flight
    leased: int  # held by replicas in advance, not reserved
    lost: int  # of spent: not returned by dead replicas
    breached: int  # used beyond reservations, this replica, since its start
    version: int  # of the limit
    window_s: float
    ends_in_s: float | None  # until a calendar window ends; None: it rolls


@dataclass(frozen=True, slots=True)
class Budget:
    """An account, its shadow price, and which accounts there are."""

    balance: AccountBalance
    price: float  # quality per dollar
    accounts: tuple[str, ...]


def read_budget(reply: pb.GetBudgetReply) -> Budget:
    """The reply to GetBudget."""
    return Budget(read_balance(reply.balance), reply.price, tuple(reply.accounts))


def read_balance(balance: pb.Balance) -> AccountBalance:
    """One account."""
    return AccountBalance(
        account=balance.account,
        unit=balance.currency,
        limit=balance.limit if balance.HasField("limit") else None,
        spent=balance.spent,
        reserved=balance.reserved,
        leased=balance.leased,
        lost=balance.lost,
        breached=balance.breached,
        version=balance.version,
        window_s=from_duration(balance.window),
        ends_in_s=from_duration(balance.ends_in) if balance.HasField("ends_in") else None,
    )
