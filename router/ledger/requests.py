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


class Requests:
    """Reserved and settled ones, both in order of time; settled ids are forgotten in time and in number."""

    def __init__(self, remember_s: float, remember_most: int) -> None:
        self.open: OrderedDict[str, Request] = OrderedDict()
        self.settled: OrderedDict[str, tuple[float, Reservation, Amount]] = OrderedDict()
        self._remember_s, self._remember_most = remember_s, remember_most

    def known(self, request_id: str) -> Reservation | None:
        """The reservation of an id that was seen before."""
        entry = self.open.get(request_id)
        if entry is not None:
            return entry.reservation
        settled = self.settled.get(request_id)
        return None if settled is None else settled[1]

    def charged(self, request_id: str) -> Amount | None:
        """What a settled request was charged; None where it is not known (any more)."""
        settled = self.settled.get(request_id)
        return None if settled is None else settled[2]

    def over(self, now: float) -> Iterator[Request]:
        """Take out those whose time is over."""
        while self.open:
            first = next(iter(self.open.values()))
            if first.ends_s > now:
                return
            yield self.open.pop(first.reservation.request_id)

    def remember(self, request: Request, used: Amount, now: float) -> None:
        """It was charged."""
        self.settled[request.reservation.request_id] = (now, request.reservation, used)
        forget_before = now - self._remember_s
        while self.settled:
            oldest = next(iter(self.settled))
            if self.settled[oldest][0] > forget_before and len(self.settled) <= self._remember_most:
                return
            del self.settled[oldest]
