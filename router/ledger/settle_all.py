"""Book what one request used over all its reservations."""

from __future__ import annotations

from collections.abc import Sequence

from router.ledger import Amount, Ledger, Reservation


def settle_all(ledger: Ledger, reservations: Sequence[Reservation], used: Amount) -> Amount:
    """Book what one request used over all its reservations, the first ones first; what it was charged."""
    charged = Amount(0)
    for reservation in reservations:
        last = reservation is reservations[-1]
        part = used if last else used.at_most(reservation.amount)
        charged += ledger.settle(reservation, part)
        used = used.minus(part)
    return charged
