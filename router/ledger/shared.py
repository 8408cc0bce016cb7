"""The store that replicas share: its contract, and one in memory for a single process, tests and simulations.

To keep accounts elsewhere, write a class with these six methods; everything that decides is in `sync.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from router.errors import ConfigError
from router.ledger import ALL
from router.ledger.accounts import EVERYBODY, Account, Accounts
from router.ledger.state import Answer, Ask, Movement, State
from router.ledger.sync import FRESH_S, advance, opening, set_limit, sync


class SharedStore(Protocol):
    """All or nothing, one after another per account. Every method may block and raises `StoreError`."""

    @property
    def immediate(self) -> bool:
        """Whether `sync` neither waits nor uses a network, so that `reserve` itself may call it."""
        ...

    def register(self, replica: str, accounts: Accounts) -> None:
        """Make the configured accounts known; once, before anything else.

        A changed limit of the configuration takes the place of what was set since. Raises `ConfigError` where a
        replica that is alive was configured otherwise, or the unit of an account is another than what it holds.
        """
        ...

    def sync(self, replica: str, asks: Sequence[Ask]) -> tuple[Answer, ...]:
        """What the replica says and wants of several accounts, in one transaction."""
        ...

    def changes(self) -> int:
        """A number that grows when replicas should ask again: a limit was set, or one lacks what others hold."""
        ...

    def set_limit(self, account: Account, limit: int | None) -> int:
        """Another limit from now on; its version."""
        ...

    def carry_over(self, keep_s: float) -> bool:
        """Throw away a part of the movements that are older, but for their sums; whether there may be more."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...


class Memory:
    """The contract of `SharedStore`, in this process; for one thread."""

    immediate = True

    def __init__(self, wall_s: Callable[[], float]) -> None:
        self._wall_s = wall_s
        self._changes = 0
        self.states: dict[str, State] = {}
        self.movements: list[Movement] | None = None  # a list keeps them; None: nobody will look

    def register(self, replica: str, accounts: Accounts) -> None:
        states = {name: self.states[name] for name in accounts.by_name if name in self.states}
        moved = register_in(states, replica, accounts, self._wall_s())
        self.states |= states
        self._keep(moved)

    def sync(self, replica: str, asks: Sequence[Ask]) -> tuple[Answer, ...]:
        now, answers = self._wall_s(), []
        for ask in asks:
            state = self.states.setdefault(ask.account, new_state(ask))
            before = state.hungry_at
            answer, moved = sync(state, ask, replica, now)
            self._changes += calls_for_attention(state, before)
            self._keep(moved)
            answers.append(answer)
        return tuple(answers)

    def changes(self) -> int:
        return self._changes

    def set_limit(self, account: Account, limit: int | None) -> int:
        state = self.states.setdefault(account.name, new_state(account))
        self._keep(set_limit(state, account.name, limit, self._wall_s()))
        self._changes += 1
        return state.version

    def carry_over(self, keep_s: float) -> bool:
        return False  # who keeps movements here looks at all of them

    def close(self) -> None:
        return

    def _keep(self, moved: Iterable[Movement]) -> None:
        if self.movements is not None:
            self.movements.extend(moved)


def new_state(source: Ask | Account) -> State:
    """Of an account that nobody has asked for yet."""
    return State(source.limit, source.limit, source.window.kind, source.window.nominal_s)


def calls_for_attention(state: State, hungry_before: float) -> bool:
    """Whether a replica now lacks what others hold, and nobody was told within the last second."""
    return state.hungry_at > hungry_before + 1.0


def register_in(states: dict[str, State], replica: str, accounts: Accounts, now: float) -> list[Movement]:
    """Put the configured accounts into `states` (those of them that exist). Raises `ConfigError`; see `SharedStore`."""
    terms = dict(accounts.configured())
    root = states.setdefault(ALL, new_state(accounts.by_name[ALL]))
    now = max(now, root.now)
    others = [
        name
        for name, lease in root.leases.items()
        if name != replica and not lease.closed and lease.asked_at > now - FRESH_S
    ]
    if others and root.terms and root.terms != terms:
        raise ConfigError(_difference(root.terms, terms, others))
    root.terms = terms
    moved: list[Movement] = []
    for name, account in accounts.by_name.items():
        state = states.get(name)
        if state is None:
            state = states[name] = new_state(account)
        now = advance(state, now)
        _check_unit(state, account)
        state.unit = account.unit
        if state.configured != account.limit:
            moved += set_limit(state, name, account.limit, now)
        moved += opening(state, name, now)
        state.configured, state.window = account.limit, account.window.kind
        state.window_s = account.window.nominal_s
    return moved


def _check_unit(state: State, account: Account) -> None:
    """What was counted in another unit would be read as dollars, or dollars as tokens. Raises `ConfigError`."""
    counted = state.booked or state.held or EVERYBODY in account.tenants  # then each tenant's account has it
    if counted and state.unit not in {"", account.unit}:
        raise ConfigError(
            f"budget: account {account.name!r} is in {state.unit} in the shared store, and its window holds some; "
            f"it cannot go on in {account.unit}: give it another name"
        )


def _difference(theirs: Mapping[str, str], mine: Mapping[str, str], others: list[str]) -> str:
    told = [
        f"{name}: {mine.get(name, 'not there')} here, {theirs.get(name, 'not there')} there"
        for name in sorted({*mine, *theirs})
        if mine.get(name) != theirs.get(name)
    ]
    return (
        f"budget: this replica is configured otherwise than {', '.join(sorted(others))}, which share its store: "
        f"{'; '.join(told)}. Stop those first, or change a limit with `apportion budget --set`"
    )
