"""Long lists in messages: the first few, and how many more there are."""

from __future__ import annotations

from collections.abc import Sequence

MOST = 5  # that are named


def some_of(told: Sequence[str], most: int = MOST) -> str:
    """All of them, or the first `most` and a count of the others.

    >>> some_of(["a 3", "b 2"])
    'a 3, b 2'
    >>> some_of(["a", "b", "c", "d"], most=2)
    'a, b and 2 more'
    """
    more = f" and {len(told) - most} more" if len(told) > most else ""
    return ", ".join(told[:most]) + more
