"""Who a caller is: a tenant, and what it may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Role(Enum):
    """`operator` may call Admin, for all tenants; `caller` may ask, spend and report for its own."""

    CALLER = "caller"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a token belongs to."""

    tenant: str
    role: Role = Role.CALLER
