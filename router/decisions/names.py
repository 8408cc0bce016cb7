"""Texts that repeat in every row (plans, digests, signals, versions) are kept once and go by a number in the rows.

The numbers are the store's own and never change their meaning. A store keeps `MOST` of them; what comes after that is
written out in its row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import msgspec

from router.decisions.rows import readable_text

MOST = 50_000  # beyond, something in a row that should repeat does not

Repeated: TypeAlias = str | tuple[str, ...]
Code: TypeAlias = int | str | list[str]  # a number, or what it would stand for


class Names:
    """Numbers for texts; used by one thread."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._codes: dict[Repeated, int] = {}
        self._texts: dict[int, Repeated] = {}

    def learn(self, rows: Iterable[tuple[int, bytes]]) -> None:
        """What a store has, as `to_value` wrote it."""
        for number, value in rows:
            text = msgspec.msgpack.decode(value)
            known: Repeated = tuple(text) if isinstance(text, list) else text
            self._texts[number] = known
            self._codes[known] = number

    @property
    def highest(self) -> int:
        """The highest number that is known; 0: none."""
        return max(self._texts, default=0)

    def missing(self, texts: Iterable[Repeated]) -> list[Repeated]:
        """Those of `texts` that should have a number and have none."""
        new = {text for text in texts if text not in self._codes}
        return sorted(new, key=to_value)[: max(0, self._most - len(self._codes))] if new else []

    def code(self, text: Repeated) -> Code:
        """What stands for it in a row."""
        number = self._codes.get(text)
        if number is not None:
            return number
        return text if isinstance(text, str) else list(text)

    def text(self, code: Code) -> str:
        """The text behind a code. Raises `KeyError` for a number that was not learnt."""
        found = self._texts[code] if isinstance(code, int) else code
        return found if isinstance(found, str) else ""

    def texts(self, code: Code) -> Sequence[str]:
        """The texts behind a code. Raises `KeyError`."""
        found = self._texts[code] if isinstance(code, int) else code
        return (found,) if isinstance(found, str) else found


def to_value(text: Repeated) -> bytes:
    """As a store keeps it."""
    try:
        return msgspec.msgpack.encode(text)
    except UnicodeEncodeError:
        return msgspec.msgpack.encode(
            readable_text(text) if isinstance(text, str) else tuple(map(readable_text, text))
        )
