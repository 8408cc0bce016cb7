"""What commands print for people: aligned columns, money, times, JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec


def table(rows: Iterable[Sequence[str]]) -> str:
    """Rows with their columns aligned, two spaces apart; the last column is as long as it is.

    >>> print(table([("a", "1"), ("bcd", "2")]))
    a    1
    bcd  2
    """
    cells = [tuple(row) for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    widths[-1] = 0
    return "\n".join(
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def money(micros: float) -> str:
    """Micro-dollars as dollars, to a thousandth of a micro-dollar.

    >>> money(1_250_000), money(42), money(0), money(0.5)
    ('$1.25', '$0.000042', '$0', '$0.0000005')
    """
    return "$" + f"{micros / 1e6:.9f}".rstrip("0").rstrip(".")


def moment(seconds: float) -> str:
    """Seconds since the epoch as UTC.

    >>> moment(0)
    '1970-01-01 00:00:00'
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def distribution(probabilities: Mapping[str, float]) -> str:
    """The most probable first.

    >>> distribution({"small": 0.1, "large": 0.9})
    'large 0.9, small 0.1'
    """
    ordered = sorted(probabilities.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {share:.3g}" for name, share in ordered)


def counted(number: int, what: str) -> str:
    """So many of something.

    >>> counted(1, "sample"), counted(0, "sample")
    ('1 sample', '0 samples')
    """
    return f"{number} {what}{'' if number == 1 else 's'}"


def short(text: str | None, length: int = 40) -> str:
    """A text on one line, cut.

    >>> short("a very   long text", 9)
    'a very l…'
    """
    line = " ".join((text or "").split())
    return line if len(line) <= length else line[: length - 1] + "…"


def as_json(value: Any) -> str:
    """Data classes, enums and what they hold as one line of JSON."""
    return msgspec.json.encode(value).decode()
