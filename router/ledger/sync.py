"""What a replica's request does to an account: pure, the same over every store.

Every change moves an amount from one pot to another and is a `Movement`. Grants are at most what is available, so that
booked + held <= limit after each of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from router.ledger.state import BOOKED, Answer, Ask, Lease, Moved, Movement, State

FRESH_S = 60.0  # a replica that asked within so many seconds is alive: scarce money is shared with it
AT_ONCE = 4  # a replica takes so much of its share at a time: what one that dies takes with it stays bounded
HUNGRY_S = 10.0  # so long others are told that somebody needs what they do not
REMEMBER_S = 86_400.0  # so long a closed lease is known to a replica that comes back


def sync(state: State, ask: Ask, replica: str, now: float) -> tuple[Answer, list[Movement]]:
    """Change `state` as the replica asks; `now` is the store's clock."""
    told, now = now, advance(state, now)
    book = Book(state, ask.account, ask.window.leaves(now), now, opening(state, ask.account, now))
    book.sweep(replica)
    lease = state.leases.get(replica)
    if lease is None or ask.sequence > lease.sequence:  # else a later request has overtaken this one
        lease = _heed(book, lease, ask, replica)
    return _answer(state, lease, ask, now, now - told), book.movements


def _heed(book: Book, lease: Lease | None, ask: Ask, replica: str) -> Lease:
    state, now = book.state, book.now
    known = ask.queries if lease is None and ask.lease else getattr(lease, "queries", 0)
    state.queries += max(0, ask.queries - known)
    if lease is None and not ask.lease:
        lease = _begin(state, replica)
    if lease is not None and not lease.closed and ask.lease in {0, lease.number}:
        book.take_report(replica, lease, ask)  # 0: the first report, or the reply with the number was lost
    else:
        if lease is not None and lease.number != ask.lease:
            book.give_back(replica, lease, lease.held)  # the replica never heard of it
        book.take_late_report(replica, lease, ask)
        lease = _begin(state, replica)
    lease.sequence, lease.reserved, lease.asked_at = ask.sequence, ask.reserved, now
    lease.ends_at, lease.queries = now + ask.lease_s, ask.queries
    if ask.leave:
        book.give_back(replica, lease, lease.held)
        del state.leases[replica]
        return lease
    granted = _grant(state, lease, ask, now)
    lease.granted += granted
    book.move(Moved.GRANT, granted, replica, lease.number)
    return lease


def _begin(state: State, replica: str) -> Lease:
    state.leases_made += 1
    lease = state.leases[replica] = Lease(state.leases_made)
    return lease


def _answer(state: State, lease: Lease, ask: Ask, now: float, ahead_s: float) -> Answer:
    end = ask.window.ends(now)
    return Answer(
        account=ask.account,
        lease=lease.number,
        granted=lease.granted,
        beyond=lease.beyond,
        limit=state.limit,
        version=state.version,
        booked=state.booked,
        held=state.held,
        reserved=sum(other.reserved for other in state.leases.values() if not other.closed),
        lost=sum(amount for _, amount in state.lost),
        hungry=state.hungry_at > now - HUNGRY_S,
        queries=state.queries,
        leaving=tuple((leaves - now, amount) for leaves, amount in state.slices),
        ends_in_s=None if end is None else end - now,
        ahead_s=ahead_s,
    )


def set_limit(state: State, account: str, limit: int | None, now: float) -> list[Movement]:
    """Another limit from now on, under the next version."""
    now = advance(state, now)
    moved = opening(state, account, now)
    state.limit, state.version = limit, state.version + 1
    return [*moved, _limit_row(state, account, now)]


def opening(state: State, account: str, now: float) -> list[Movement]:
    """The first row of an account's books: the limit that it begins with."""
    if state.opened:
        return []
    state.opened = True
    return [_limit_row(state, account, now)]


def _limit_row(state: State, account: str, now: float) -> Movement:
    amount = -1 if state.limit is None else state.limit
    return Movement(now, account, Moved.LIMIT, amount, version=state.version)


def advance(state: State, now: float) -> float:
    """Let leave what has left the window by now; the time that counts, which never goes back."""
    now = state.now = max(state.now, now)
    state.slices = [entry for entry in state.slices if entry[0] > now]
    state.lost = [entry for entry in state.lost if entry[0] > now]
    return now


def _grant(state: State, lease: Lease, ask: Ask, now: float) -> int:
    """How much the replica gets: what it wants, of scarce money its share, at least one worst case if there is one."""
    want = max(ask.want, ask.need)
    if state.limit is None or not want:
        return want
    left = state.limit - state.booked - state.held
    alive = sum(1 for other in state.leases.values() if not other.closed and other.asked_at > now - FRESH_S)
    share = max(left // (AT_ONCE * max(1, alive)), min(ask.need, left))
    granted = max(0, min(want, share))
    if ask.need > granted:
        if state.held - lease.held > 0:
            state.hungry_at = now
        return 0  # less than is needed helps nobody here, and may help another
    return granted


@dataclass(slots=True)
class Book:
    """Moves amounts of one account and writes the rows."""

    state: State
    account: str
    leaves_at: float  # of what is booked now
    now: float
    movements: list[Movement] = field(default_factory=list)

    def move(self, kind: Moved, amount: int, replica: str, lease: int) -> None:
        """Write the row, and what is booked into the window; the lease's totals are the caller's."""
        if amount <= 0:
            return
        if kind in BOOKED:
            _add(self.state.slices, self.leaves_at, amount)
        if kind is Moved.LAPSE:
            _add(self.state.lost, self.leaves_at, amount)
        leaves = self.leaves_at if kind in BOOKED else 0.0
        self.movements.append(
            Movement(self.now, self.account, kind, amount, replica, lease, leaves, self.state.version)
        )

    def sweep(self, asking: str) -> None:
        """Book what replicas hold whose leases have ended; forget leases that nobody will come back to.

        Not that of the replica that asks: it has come in person, and nobody has taken its money yet; but that, too,
        where it comes so late that its lease is forgotten.
        """
        for replica, lease in list(self.state.leases.items()):
            if forgotten := lease.ends_at < self.now - REMEMBER_S:
                del self.state.leases[replica]
            if (forgotten or replica != asking) and lease.ends_at <= self.now and not lease.closed:
                lost, lease.closed = lease.held, True
                lease.lapsed += lost
                self.move(Moved.LAPSE, lost, replica, lease.number)

    def take_report(self, replica: str, lease: Lease, ask: Ask) -> None:
        """Book what was spent since the last report, and take back what was returned."""
        fresh, back = ask.spent - lease.spent - lease.beyond, max(0, ask.returned - lease.returned)
        lease.granted += ask.honour
        self.move(Moved.HONOUR, ask.honour, replica, lease.number)
        if self.state.limit is None:  # there is nothing to take in advance: it is granted as it is used
            cover = max(0, fresh + back - lease.held)
            lease.granted += cover
            self.move(Moved.GRANT, cover, replica, lease.number)
        inside = min(max(0, fresh), max(0, lease.held - back))
        lease.spent += inside
        self.move(Moved.SPEND, inside, replica, lease.number)
        lease.beyond += max(0, fresh - inside)
        self._beyond(replica, lease.number, fresh - inside, ask.allowed)
        self.give_back(replica, lease, back)

    def take_late_report(self, replica: str, lease: Lease | None, ask: Ask) -> None:
        """A replica comes back after its lease has lapsed: what it held is booked; only what it used beyond is new.

        Where its lease is not known any more, as after a day, all that it had taken counts as booked.
        """
        if lease is not None and ask.lease in {0, lease.number}:
            fresh, covered = ask.spent - lease.spent - lease.beyond, lease.lapsed
        else:
            fresh, covered = ask.spent, max(0, ask.granted - ask.returned)
        self.move(Moved.LATE, min(fresh, covered), replica, ask.lease)
        self._beyond(replica, ask.lease, fresh - covered, ask.allowed)

    def give_back(self, replica: str, lease: Lease, amount: int) -> None:
        """held -> available."""
        back = min(amount, lease.held)
        lease.returned += max(0, back)
        self.move(Moved.RETURN, back, replica, lease.number)

    def _beyond(self, replica: str, lease: int, amount: int, allowed: int) -> None:
        credit = max(0, min(amount, allowed))
        self.move(Moved.ALLOWED, credit, replica, lease)
        self.move(Moved.BREACH, amount - credit, replica, lease)


def _add(entries: list[tuple[float, int]], leaves_at: float, amount: int) -> None:
    if entries and entries[-1][0] >= leaves_at:
        entries[-1] = (entries[-1][0], entries[-1][1] + amount)
    else:
        entries.append((leaves_at, amount))
