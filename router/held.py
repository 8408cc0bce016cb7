"""What callers of `Decide` may spend: reserved until they report their usage, or until its time ends.

They call the models themselves, so that the service hears of what they used from them alone. Reports are totals so
far: one that comes twice changes nothing, the last one (`final`) settles and the rest goes back. What is never
reported, or too late, is charged at its worst case. A report goes to the replica that decided.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from predictors.observation import Query
from router.books import Books
from router.domain.plan import Plan
from router.domain.usage import Price, Usage
from router.errors import BudgetExceeded, InvalidQuery, UnknownName
from router.ledger import Reservation
from router.worst_case import used_amount, worst_amount

REMEMBER_MOST = 200_000  # decisions, also settled ones: a repeated report is answered as the first


@dataclass(frozen=True, slots=True)
class Reported:
    """What a decision was charged so far, and what of its reservation went back; micro-dollars."""

    charged: int
    returned: int = 0


@dataclass(frozen=True, slots=True)
class _Held:
    reservation: Reservation
    prices: Mapping[str, Price]  # of the reservation
    usage: Mapping[str, Usage]  # reported so far
    ended: Reported | None = None


class Held:
    """The decisions of this replica whose usage may be reported. Belongs to one event loop."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._held: OrderedDict[str, _Held] = OrderedDict()

    async def hold(self, decision_id: str, query: Query, plan: Plan) -> None:
        """Set the worst case of a decided plan aside. Raises `BudgetExceeded` with the decision's id."""
        books = self._books
        amount = worst_amount(query, plan, books.chooser.forecaster.bounds)
        try:
            reservation = await books.ledger.obtain(f"{decision_id}/decided", amount, query.tenant)
        except BudgetExceeded as error:
            error.decision_id = decision_id
            raise
        self._held[decision_id] = _Held(reservation, dict(books.prices), {})
        if len(self._held) > REMEMBER_MOST:
            self._held.popitem(last=False)

    def report(self, decision_id: str, usage: Mapping[str, Usage], *, final: bool) -> Reported:
        """Take a report in: totals so far, by backend. Raises `UnknownName` or `InvalidQuery`."""
        held = self._held.get(decision_id)
        if held is None:
            raise UnknownName("decision with usage to report", decision_id)
        if held.ended is not None:
            return held.ended
        for name in usage:
            if name not in held.prices:
                raise InvalidQuery("by_backend", f"unknown backend {name!r}", ", ".join(held.prices))
        usage = {**held.usage, **usage}
        used = used_amount(usage, held.prices)
        ended = None
        if final:
            charged = self._books.ledger.settle(held.reservation, used)
            ended = Reported(charged.micros, held.reservation.amount.minus(charged).micros)
        self._held[decision_id] = replace(held, usage=usage, ended=ended)
        return ended or Reported(used.micros)
