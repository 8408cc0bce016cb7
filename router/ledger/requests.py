"""The requests of one replica: which are reserved, until when, and which were settled, so that each counts once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from router.ledger import Amount, Reservation
from router.ledger.hand import Hand


@dataclass(slots=True)
class Request:
    """One that is reserved: in which accounts, how much in each."""

    reservation: Reservation
    ends_s: float  # monotonic; then it is charged at its worst case
    hands: tuple[Hand, ...]
    held: tuple[int, ...]

    def charge(self, used: Amount) -> None:
        """Book it in all its accounts."""
        for hand, held in zip(self.hands, self.held, strict=True):
            hand.settle(held, hand.measure(used))


Charged = tuple[float, Reservation, Amount]
"""When (monotonic), for what, and how much."""


class Requests:
    """Reserved and charged ones, in order of time; charged ids are forgotten in time and in number.

    Those that were charged because their time was over are kept apart: who settles twice does so at once, who settles
    too late comes minutes later, and must not be pushed out by the others.
    """

    def __init__(self, remember_s: float, remember_most: int) -> None:
        self.open: OrderedDict[str, Request] = OrderedDict()
        self.settled: OrderedDict[str, Charged] = OrderedDict()
        self.lapsed: OrderedDict[str, Charged] = OrderedDict()
        self._remember_s, self._remember_most = remember_s, remember_most

    def known(self, request_id: str) -> Reservation | None:
        """The reservation of an id that was seen before."""
        entry = self.open.get(request_id)
        if entry is not None:
            return entry.reservation
        charged = self._charged(request_id)
        return None if charged is None else charged[1]

    def charged(self, request_id: str) -> Amount | None:
        """What a request was charged; None where it is not known (any more)."""
        charged = self._charged(request_id)
        return None if charged is None else charged[2]

    def over(self, now: float) -> Iterator[Request]:
        """Take out those whose time is over."""
        while self.open:
            first = next(iter(self.open.values()))
            if first.ends_s > now:
                return
            yield self.open.pop(first.reservation.request_id)

    def remember(self, request: Request, used: Amount, now: float, *, lapsed: bool) -> None:
        """It was charged; `lapsed`: because its time was over."""
        memory = self.lapsed if lapsed else self.settled
        memory[request.reservation.request_id] = (now, request.reservation, used)
        forget_before = now - self._remember_s
        while memory:
            oldest = next(iter(memory))
            if memory[oldest][0] > forget_before and len(memory) <= self._remember_most:
                return
            del memory[oldest]

    def _charged(self, request_id: str) -> Charged | None:
        return self.settled.get(request_id) or self.lapsed.get(request_id)
