"""What callers of `Decide` and `Advise` may spend: reserved until they report their usage, or until its time ends.

They call the models themselves, so that the service hears of what they used from them alone. Reports are totals so
far: one that comes twice changes nothing, one that says less than an earlier one counts as that, and the last one
(`final`) settles and the rest goes back. What is never reported, or too late, is charged at its worst case. Of GPU
time reports say nothing: a sample of a backend that is priced by it is charged at its longest.

A report goes to the replica that decided, whose hand holds the reservation; any other says that it does not know it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from router.allocation.books import Books
from router.allocation.progress import Progress
from router.costs.worst_case import used_amount
from router.domain.usage import Price, Usage
from router.errors import InvalidQuery, UnknownName
from router.ledger import Reservation
from router.ledger.settle_all import settle_all

REPORTED_LATER = "samples of the caller were running: what they used is charged after this row"
HELD_MOST = 200_000  # decisions whose usage is awaited, 1 kB each
ENDED_MOST = 20_000  # settled decisions: a report that is sent again comes soon, and is answered as the first


@dataclass(frozen=True, slots=True)
class Reported:
    """What a decision was charged so far, and what of its reservation went back; micro-dollars."""

    charged: int
    returned: int = 0


@dataclass(frozen=True, slots=True)
class _Held:
    reservations: tuple[Reservation, ...]
    prices: Mapping[str, Price]  # of the reservation
    usage: Mapping[str, Usage]  # reported so far

    @property
    def tenant(self) -> str:
        """Whose decision it was."""
        return self.reservations[0].tenant

    def charged(self, micros: int) -> Reported:
        """What a charge of so much leaves of it."""
        reserved = sum(reservation.amount.micros for reservation in self.reservations)
        return Reported(micros, max(0, reserved - micros))


class HeldReservations:
    """The decisions of this replica whose usage may be reported. Belongs to one event loop."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._held: OrderedDict[str, _Held] = OrderedDict()  # usage is awaited
        self._ended: OrderedDict[str, tuple[str, Reported]] = OrderedDict()  # of which tenant, and how

    def take(self, progress: Progress) -> int:
        """Take over what a decided query reserved; its row says nothing of it, as nothing is charged yet: 0."""
        if progress.reservations:
            self._await(progress.decision_id, _Held(tuple(progress.reservations), progress.prices, {}))
            progress.reservations.clear()
        return 0

    def keep(self, progress: Progress, charged: int | None = None) -> int:
        """Take over what an advised query reserved; `charged`: it is settled at so much, None: it is not settled.

        Returns the micro-dollars that are charged for certain, which is what the row says; where more may follow, it
        says that too.
        """
        if not progress.reservations:
            return 0
        held = _Held(tuple(progress.reservations), progress.prices, dict(progress.meter.by_backend))
        if charged is not None:
            self._end(progress.decision_id, held, charged)
            return charged
        progress.degraded.append(REPORTED_LATER)
        self._await(progress.decision_id, held)
        reserved = sum(reservation.amount.micros for reservation in held.reservations)
        return min(reserved, used_amount(held.usage, held.prices).micros)

    def report(
        self, decision_id: str, usage: Mapping[str, Usage], *, final: bool, tenant: str | None = None
    ) -> Reported:
        """Take a report in: totals so far, by backend.

        Raises `UnknownName`, also for a decision of another tenant than `tenant` (None: whoever's), or `InvalidQuery`.
        """
        owner, ended = self._ended.get(decision_id, ("", None))
        if ended is not None and tenant in {None, owner}:
            return ended
        held = self._held.get(decision_id)
        if held is None or tenant not in {None, held.tenant}:
            where = f"decision with usage to report at replica {self._books.settings.replica!r}"
            raise UnknownName(where, decision_id)
        totals = dict(held.usage)
        for name, said in usage.items():
            if name not in held.prices:
                raise InvalidQuery("by_backend", f"unknown backend {name!r}", ", ".join(held.prices))
            earlier = totals.get(name, Usage())
            totals[name] = self._timed(name, said, earlier).at_least(earlier)
        used = used_amount(totals, held.prices)
        if final:
            return self._end(
                decision_id, held, settle_all(self._books.ledger, held.reservations, used).micros
            )
        self._held[decision_id] = replace(held, usage=totals)
        return Reported(used.micros)

    def _timed(self, name: str, said: Usage, before: Usage) -> Usage:
        """`said` with the longest GPU time that its samples can have taken, but for those already known."""
        longest_s = self._books.chooser.forecaster.bounds[name].gpu_seconds
        if said.gpu_seconds or not longest_s or said == Usage():
            return said
        more = max(said.samples, 1) - before.samples
        return replace(said, gpu_seconds=before.gpu_seconds + max(0, more) * longest_s)

    def _await(self, decision_id: str, held: _Held) -> None:
        self._held[decision_id] = held
        if len(self._held) > HELD_MOST:
            self._held.popitem(last=False)

    def _end(self, decision_id: str, held: _Held, charged: int) -> Reported:
        """Only who it belonged to and how it ended stay: the rest is most of the memory."""
        ended = held.charged(charged)
        self._held.pop(decision_id, None)
        self._ended[decision_id] = (held.tenant, ended)
        if len(self._ended) > ENDED_MOST:
            self._ended.popitem(last=False)
        return ended
