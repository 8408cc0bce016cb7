"""One account with one rolling window in this process: exact, idempotent, bounded.

What was settled counts from its settlement until the window has passed; what is reserved counts until it is
settled. Settled amounts are kept in up to `GRAINS` slices of the window and leave with the end of their slice: up
to a 1,024th of the window later than they might, never sooner. At every moment spent + reserved <= limit, except for
what a backend used beyond its reservation: that is charged too, and counted in `breaches`.

For one event loop; not for threads. It forgets everything with its process: a replica's share of a common budget
must be taken from a shared store.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

from router.errors import BudgetExceeded, ConfigError, PluginError
from router.ledger import Balance, Reservation

GRAINS = 1024
RESERVED_RETRY_S = (
    1.0  # when only open reservations stand in the way: they are settled within a request's time
)


class InProcess:
    """`limit_micros` >= 0 per `window_s` seconds of `clock` (monotonic); None: count, refuse nothing."""

    def __init__(
        self,
        limit_micros: int | None,
        window_s: float,
        clock: Callable[[], float],
        *,
        account: str = "default",
        remember_s: float = 600.0,  # how long a settled request id is known: as long as replies are replayed
        remember_most: int = 200_000,  # settled request ids
    ) -> None:
        if not 0 < window_s < float("inf"):
            raise ConfigError(f"budget {account!r}: the window must be positive and finite, got {window_s} s")
        if limit_micros is not None:
            _check_limit(account, limit_micros)
        self.breaches = 0  # settlements above their reservation
        self.breached_micros = 0  # by how much, in total
        self._limit = limit_micros
        self._window_s = window_s
        self._grain_s = window_s / GRAINS
        self._clock = clock
        self._account = account
        self._remember_s = remember_s
        self._remember_most = remember_most
        self._now = clock()
        self._spent = 0
        self._reserved = 0
        self._open: dict[str, Reservation] = {}
        self._settled: OrderedDict[str, tuple[float, Reservation]] = OrderedDict()  # when, in order of time
        self._slices: deque[list[float | int]] = deque()  # [when it leaves, micros], in order of time

    def reserve(self, request_id: str, micros: int) -> Reservation:
        """Set `micros` >= 0 aside; again with the same request id returns the first reservation.

        Raises `BudgetExceeded` where it does not fit: `retry_after_s` says when enough will have left the window,
        None where the amount is above the whole limit; `PluginError` for an amount that is none.
        """
        _check_amount("reserve", request_id, micros)
        self._advance()
        known = self._open.get(request_id)
        if known is not None:
            return known
        settled = self._settled.get(request_id)
        if settled is not None:
            return settled[1]
        limit = self._limit
        if limit is not None and self._spent + self._reserved + micros > limit:
            raise self._refusal(request_id, micros, limit)
        reservation = Reservation(request_id, micros, self._account)
        self._open[request_id] = reservation
        self._reserved += micros
        return reservation

    def settle(self, reservation: Reservation, used: int) -> None:
        """Book `used` >= 0 and give the rest back; a second settlement of the same request changes nothing.

        More than was reserved is charged in full and counted in `breaches`.
        """
        _check_amount("settle", reservation.request_id, used)
        self._advance()
        held = self._open.pop(reservation.request_id, None)
        if held is None:
            return
        self._reserved -= held.micros
        self._settled[held.request_id] = (self._now, held)
        if used > held.micros:
            self.breaches += 1
            self.breached_micros += used - held.micros
        if used:
            self._book(used)

    def balance(self) -> Balance:
        """The account now."""
        self._advance()
        return Balance(self._limit, self._spent, self._reserved)

    def wait_s(self, micros: int) -> float | None:
        """Seconds until `micros` >= 0 may fit: until enough has left the window, or open reservations are settled.

        None where it is above the whole limit.
        """
        self._advance()
        if self._limit is None:
            return 0.0
        missing = self._spent + self._reserved + micros - self._limit
        if missing <= 0:
            return 0.0
        if micros > self._limit:
            return None
        for leaves, amount in self._slices:
            missing -= int(amount)
            if missing <= 0:
                return leaves - self._now
        return RESERVED_RETRY_S

    def set_limit(self, limit_micros: int | None) -> None:
        """Another limit from now on; below what is spent and reserved it refuses until enough has left."""
        if limit_micros is not None:
            _check_limit(self._account, limit_micros)
        self._limit = limit_micros

    def _book(self, micros: int) -> None:
        self._spent += micros
        leaves = (self._now // self._grain_s + 1) * self._grain_s + self._window_s
        if self._slices and self._slices[-1][0] >= leaves:
            self._slices[-1][1] += micros
        else:
            self._slices.append([leaves, micros])

    def _advance(self) -> None:
        self._now = max(self._now, self._clock())
        while self._slices and self._slices[0][0] <= self._now:
            self._spent -= int(self._slices.popleft()[1])
        forget_before = self._now - self._remember_s
        while self._settled:
            oldest = next(iter(self._settled))
            if self._settled[oldest][0] > forget_before and len(self._settled) <= self._remember_most:
                break
            del self._settled[oldest]

    def _refusal(self, request_id: str, micros: int, limit: int) -> BudgetExceeded:
        left = limit - self._spent - self._reserved
        text = (
            f"budget {self._account!r}: request {request_id!r} may cost {micros} micro-dollars, "
            f"{left} of {limit} are left"
        )
        if micros > limit:
            return BudgetExceeded(f"{text}: more than the whole budget")
        return BudgetExceeded(text, retry_after_s=self.wait_s(micros))


def _check_amount(what: str, request_id: str, micros: int) -> None:
    if type(micros) is not int or micros < 0:
        raise PluginError(
            f"ledger: {what} {micros!r} for request {request_id!r}: whole micro-dollars >= 0 are expected"
        )


def _check_limit(account: str, micros: int) -> None:
    if type(micros) is not int or micros < 0:
        raise ConfigError(f"budget {account!r}: the limit must be whole micro-dollars >= 0, got {micros!r}")
