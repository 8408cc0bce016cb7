"""Amounts of money that are given to commands."""

from __future__ import annotations

from router.command_group import CommandFailed


def micros(option: str, units: float) -> int:
    """Micro-units, rounded down. Raises `CommandFailed` where a part of one is all there is: it is no amount, nor 0.

    >>> micros("--dollars", 0.0000015), micros("--dollars", 0.1 + 0.2)
    (1, 300000)
    """
    found = int(units * 1e6 + 1e-6)
    if units > 0 and not found:
        raise CommandFailed(f"{option}: {units:g} is less than 0.000001, the smallest amount that is counted")
    return found
