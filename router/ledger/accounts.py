"""What is budgeted: a tree of accounts, each with a unit, a window and a limit; a request must fit its whole branch.

A tenant's requests begin at the account that names it, else at a copy of the account whose tenants are `*` (one copy
per tenant, named `ACCOUNT/TENANT`), else at `all`; from there they count in every account up to `all`. Several limits
on the same thing (per hour and per month) are accounts within each other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from router.errors import ConfigError, UnknownName
from router.ledger import ALL, Amount
from router.ledger.window import Window

DOLLARS = "USD"
TOKENS = "tokens"
GPU_SECONDS = "gpu_seconds"
EVERYBODY = "*"
REFUSED = '; no [[budgets]] names it, and [budget] says unknown_tenants = "refuse"'
MICRO = 1_000_000
LARGEST = 10**18  # micro-units; the store's integers have 63 bits

Measure = Callable[[Amount], int]


@dataclass(frozen=True, slots=True)
class Account:
    """One budget."""

    name: str
    limit: int | None  # micro-units per window, [0, 10^18]; None: counted, not limited
    window: Window = Window()  # noqa: RUF009 (frozen: a default that is shared is never changed)
    unit: str = DOLLARS  # USD, tokens, gpu_seconds, or a currency
    within: str = ALL  # the account above; "" for `all` itself
    tenants: tuple[str, ...] = ()  # whose requests begin here
    dollars_per_unit: float = 1.0  # of a currency

    def measure(self) -> Measure:
        """The function from an amount to micro-units of this account, rounded up."""
        if self.unit == DOLLARS:
            return lambda amount: amount.micros
        if self.unit == TOKENS:
            return lambda amount: amount.tokens * MICRO
        if self.unit == GPU_SECONDS:
            return lambda amount: amount.gpu_micros
        rate = self.dollars_per_unit
        return lambda amount: math.ceil(amount.micros / rate)

    @property
    def terms(self) -> str:
        """Everything that replicas must agree on, as text."""
        return json.dumps(
            {
                "limit": self.limit,
                "window": self.window.kind,
                "window_s": self.window.nominal_s,
                "unit": self.unit,
                "within": self.within,
                "tenants": sorted(self.tenants),
                "dollars_per_unit": self.dollars_per_unit,
            }
        )


class Accounts:
    """The tree. Raises `ConfigError` where it is none."""

    def __init__(self, accounts: Iterable[Account] = (), *, refuse_unknown: bool = False) -> None:
        self.by_name: dict[str, Account] = {}
        self.refuse_unknown = refuse_unknown  # tenants that no account names
        self._begin: dict[str, str] = {}  # tenant -> account
        for account in accounts:
            if account.name in self.by_name:
                raise ConfigError(f"budget {account.name!r}: there are two of this name")
            self.by_name[account.name] = account
            _check_limit(account.name, account.limit)
            if not 0 < account.dollars_per_unit < math.inf:
                raise ConfigError(
                    f"budget {account.name!r}: a unit costs more than $0, got {account.dollars_per_unit}"
                )
            for tenant in account.tenants:
                other = self._begin.setdefault(tenant, account.name)
                if other != account.name:
                    raise ConfigError(f"budget {account.name!r}: tenant {tenant!r} is already in {other!r}")
        self.by_name.setdefault(ALL, Account(ALL, None, within=""))
        for name in self.by_name:
            self._branch(name)

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return any(account.limit is not None for account in self.by_name.values())

    def configured(self) -> Mapping[str, str]:
        """Name -> terms, for comparison between replicas."""
        return {name: account.terms for name, account in sorted(self.by_name.items())}

    def chain(self, tenant: str) -> tuple[Account, ...]:
        """The accounts that the tenant's requests must fit, the narrowest first.

        Raises `UnknownName` for a tenant that no account names, where such tenants are refused.
        """
        first = self._begin.get(tenant)
        if first is None and EVERYBODY in self._begin:
            own = replace(self.by_name[self._begin[EVERYBODY]], tenants=(tenant,))
            own = replace(own, name=f"{own.name}/{tenant}")
            return (own, *self._branch(own.within))
        if first is None and self.refuse_unknown:
            raise UnknownName("tenant", tenant, hint=REFUSED)  # the others' names are nobody's business
        return self._branch(first or ALL)

    def named(self, name: str) -> Account:
        """The account of that name, also one tenant's copy. Raises `UnknownName` with the choices."""
        account = self.by_name.get(name)
        if account is not None:
            return account
        template, slash, tenant = name.partition("/")
        if slash and tenant and EVERYBODY in getattr(self.by_name.get(template), "tenants", ()):
            return replace(self.by_name[template], name=name, tenants=(tenant,))
        raise UnknownName("account", name, tuple(self.by_name))

    def _branch(self, name: str) -> tuple[Account, ...]:
        branch: list[Account] = []
        while name:
            account = self.by_name.get(name)
            if account is None:
                raise ConfigError(
                    f"budget {branch[-1].name!r}: within = {name!r} is no budget; "
                    f"choose from {', '.join(sorted(self.by_name))}"
                )
            if account in branch:
                raise ConfigError(f"budget {name!r} lies within itself")
            branch.append(account)
            if name != ALL and not account.within:
                raise ConfigError(f"budget {name!r}: only {ALL!r} lies within nothing")
            name = account.within if name != ALL else ""
        return tuple(branch)


def _check_limit(name: str, limit: int | None) -> None:
    if limit is not None and not 0 <= limit <= LARGEST:
        raise ConfigError(f"budget {name!r}: a limit is from 0 to 10^12 units, got {limit / MICRO:g}")
