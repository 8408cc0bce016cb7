"""Proves from the stored movements that every micro-unit adds up: replays them, and compares with what the store says.

Per account: granted (and honoured) = returned + spent + lapsed + held, lease by lease; nothing was granted that was
not available at that moment; what is booked in the window and the limit are what the store's own row says. `over` is
the most by which booked ever exceeded the limit (after a lowering: what was booked and held then, if that is more).
It comes from backends that used more than they were allowed (`breached`) or from the stated allowance while the store
was away (`allowed`) alone.

Against the decisions: what a replica's rows say that it charged is what its leases booked. Of a replica that died,
what it held was booked as lost: its rows may say less, never more.

Of movements that were thrown away (`retention_days`) the sums are carried over, as far as a replay had come with them:
what follows is replayed from there, and must add up with them all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from router.ledger.state import BOOKED, Moved, Movement, State


@dataclass(slots=True)
class AccountAudit:
    """What the movements of one account say; micro-units."""

    account: str
    limit: int | None = None
    version: int = 0
    movements: int = 0
    spent: int = 0  # SPEND, BREACH and ALLOWED since the beginning
    lost: int = 0
    returned: int = 0
    granted: int = 0
    held: int = 0
    booked: int = 0  # in the window
    breached: int = 0
    allowed: int = 0
    over: int = 0
    problems: list[str] = field(default_factory=list)
    by_replica: dict[str, ReplicaAudit] = field(default_factory=dict)


@dataclass(slots=True)
class ReplicaAudit:
    """What the movements say about one replica in one account; micro-units."""

    spent: int = 0
    lost: int = 0  # lapsed: booked although it did not say so
    held: int = 0


@dataclass(slots=True)
class Carried:
    """How far a replay of one account came; its movements up to there are not needed any more."""

    found: AccountAudit
    held: list[tuple[str, int, int]] = field(default_factory=list)  # replica, lease, amount > 0
    slices: list[tuple[float, int]] = field(default_factory=list)  # (leaves at, booked), in the window
    ceiling: int = 0
    now: float = 0.0


def audit(
    states: Mapping[str, State],
    movements: Iterable[Movement],
    carried: Mapping[str, Carried] = MappingProxyType({}),
) -> tuple[AccountAudit, ...]:
    """One audit per account, by name. `movements` are in the order of their writing, after those of `carried`."""
    by_account: dict[str, list[Movement]] = {name: [] for name in (*states, *carried)}
    for movement in movements:
        by_account.setdefault(movement.account, []).append(movement)
    return tuple(
        _Replay.after(name, carried.get(name)).run(rows, states.get(name))
        for name, rows in sorted(by_account.items())
    )


def carry_over(account: str, movements: Iterable[Movement], carried: Carried | None = None) -> Carried:
    """What is carried over of these movements of the account and of what was before."""
    replay = _Replay.after(account, carried)
    for movement in movements:
        replay.step(movement)
    slices: dict[float, int] = {}
    for leaves_at, amount in replay.slices:
        slices[leaves_at] = slices.get(leaves_at, 0) + amount
    held = [(replica, lease, amount) for (replica, lease), amount in replay.held.items() if amount]
    return Carried(replay.found, held, sorted(slices.items()), replay.ceiling, replay.now)


def compare_charges(
    account: AccountAudit, charged: Mapping[str, int], less: Collection[str] = ()
) -> list[str]:
    """What is wrong between an account kept in dollars that takes every request, and the rows of decisions.

    `charged`: micro-dollars by replica, as its rows say; `less`: replicas whose rows may say less, because rows
    are known to be missing or callers reported usage of their own after the row was written.
    """
    problems = []
    for replica in sorted({*charged, *account.by_replica}):
        told, books = charged.get(replica, 0), account.by_replica.get(replica, ReplicaAudit())
        most = books.spent + books.lost + books.held
        if told > most:
            problems.append(f"{replica}: its decisions say {told}, its leases only {most}")
        elif told < books.spent and not books.lost and replica not in less:
            problems.append(f"{replica}: its leases say {books.spent} was spent, its decisions only {told}")
    return problems


@dataclass(slots=True)
class _Replay:
    found: AccountAudit
    held: dict[tuple[str, int], int] = field(default_factory=dict)
    slices: list[tuple[float, int]] = field(default_factory=list)
    ceiling: int = 0  # what may be booked at most while a lowered limit is not reached
    now: float = 0.0

    @classmethod
    def after(cls, account: str, carried: Carried | None) -> _Replay:
        """One that goes on from what was carried over."""
        if carried is None:
            return cls(AccountAudit(account))
        held = {(replica, lease): amount for replica, lease, amount in carried.held}
        return cls(carried.found, held, list(carried.slices), carried.ceiling, carried.now)

    def run(self, rows: Sequence[Movement], state: State | None) -> AccountAudit:
        for row in rows:
            self.step(row)
        found = self.found
        if state is None:
            found.problems.append("there are movements, and no account")
            return found
        self._leave(state.now)
        held = {key: amount for key, amount in self.held.items() if amount}
        there = {(name, lease.number): lease.held for name, lease in state.leases.items() if lease.held}
        found.held, found.booked = sum(held.values()), self._booked()
        for what, ours, theirs in (
            ("held, by replica and lease", held, there),
            ("booked in the window", found.booked, state.booked),
            ("limit", found.limit, state.limit),
            ("version", found.version, state.version),
        ):
            if ours != theirs:
                found.problems.append(f"{what}: the movements say {ours}, the account {theirs}")
        if (
            found.granted
            != found.returned + found.spent - found.breached - found.allowed + found.lost + found.held
        ):
            found.problems.append("granted is not returned + spent out of it + lost + held")
        return found

    def step(self, row: Movement) -> None:
        """One more movement."""
        found = self.found
        found.movements += 1
        if row.at < self.now:
            found.problems.append(f"at {row.at}: written after {self.now}")
        self._leave(row.at)
        if row.kind is Moved.LIMIT:
            self._set_limit(row)
            return
        if row.amount <= 0:
            found.problems.append(f"at {row.at}: {row.kind.value} of {row.amount}")
        if row.kind is Moved.LATE:
            return  # what lapsed was booked already
        self._move(row, found.by_replica.setdefault(row.replica, ReplicaAudit()))
        if row.kind in BOOKED:
            self.slices.append((row.leaves_at, row.amount))
            if found.limit is not None:
                found.over = max(found.over, self._booked() - max(found.limit, self.ceiling))

    def _move(self, row: Movement, one: ReplicaAudit) -> None:
        found, amount, key = self.found, row.amount, (row.replica, row.lease)
        change = {
            Moved.GRANT: amount,
            Moved.HONOUR: amount,
            Moved.RETURN: -amount,
            Moved.SPEND: -amount,
            Moved.LAPSE: -amount,
        }.get(row.kind, 0)
        self.held[key] = self.held.get(key, 0) + change
        one.held += change
        if self.held[key] < 0:
            found.problems.append(f"at {row.at}: {row.kind.value} of {amount}, and lease {key} holds less")
        if row.kind in {Moved.GRANT, Moved.HONOUR}:
            found.granted += amount
            total = self._booked() + sum(self.held.values())
            if row.kind is Moved.GRANT and found.limit is not None and total > found.limit:
                found.problems.append(
                    f"at {row.at}: {amount} granted, and {total} of {found.limit} are gone then"
                )
        elif row.kind is Moved.RETURN:
            found.returned += amount
        elif row.kind is Moved.LAPSE:
            found.lost += amount
            one.lost += amount
        else:
            found.spent += amount
            one.spent += amount
            found.breached += amount if row.kind is Moved.BREACH else 0
            found.allowed += amount if row.kind is Moved.ALLOWED else 0

    def _set_limit(self, row: Movement) -> None:
        found = self.found
        if row.version != found.version + 1:
            found.problems.append(f"at {row.at}: version {row.version} of the limit after {found.version}")
        found.version, found.limit = row.version, None if row.amount < 0 else row.amount
        self.ceiling = self._booked() + sum(self.held.values())

    def _leave(self, now: float) -> None:
        self.now = max(self.now, now)
        self.slices = [entry for entry in self.slices if entry[0] > self.now]
        limit = self.found.limit
        if limit is not None and self.ceiling and self._booked() + sum(self.held.values()) <= limit:
            self.ceiling = 0  # a lowered limit is reached

    def _booked(self) -> int:
        return sum(amount for _, amount in self.slices)
