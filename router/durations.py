"""A length of time as people say it."""

from __future__ import annotations

_UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
_LONG_S = 7200.0  # what is shorter is said in seconds


def span(seconds: float) -> str:
    """Its two largest units, rounded down; below two hours its seconds. `seconds` is 0 or more.

    >>> span(0.5), span(3600), span(7200), span(90_000), span(2_592_000), span(609_296)
    ('0.5 s', '3600 s', '2 h', '1 d 1 h', '30 d', '7 d 1 h')
    """
    if seconds < _LONG_S:
        return f"{seconds:g} s"
    left = int(seconds)
    parts: list[tuple[int, str]] = []
    for name, size in _UNITS:
        number, left = divmod(left, size)
        if number or parts:
            parts.append((number, name))
    return " ".join(f"{number} {name}" for number, name in parts[:2] if number)
