"""Arrow arrays out of what a store keeps: texts by number, maps as names and numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from router.decisions.names import Code, Names
from training.log.schema import NAME


def offsets(lengths: Iterable[int]) -> Any:
    """Where each list begins and the last one ends."""
    return pa.array(np.concatenate(([0], np.cumsum(np.fromiter(lengths, np.int64)))).astype(np.int32))


def named(texts: Sequence[str]) -> Any:
    """Few different texts, many times."""
    return pa.array(texts, pa.string()).dictionary_encode().cast(NAME)


def nullable(values: NDArray[Any], kind: Any) -> Any:
    """Numbers; NaN is null."""
    return pa.array(values, kind, mask=np.isnan(values))


class Coded:
    """Columns of codes; remembers what each stands for."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._places: dict[str, int] = {}
        self._lists: dict[object, NDArray[np.int32]] = {}

    def column(self, codes: Sequence[Code]) -> Any:
        """One text per row."""
        different = {code: self._names.text(code) for code in set(map(_key, codes))}
        if all(isinstance(code, int) for code in different):
            known = np.array(sorted(different), dtype=np.int64)
            place = np.searchsorted(known, np.array(codes, dtype=np.int64)).astype(np.int32)
            return pa.DictionaryArray.from_arrays(
                place, pa.array([different[code] for code in known.tolist()])
            )
        return named([different[_key(code)] for code in codes])

    def lists(self, codes: Sequence[Code]) -> tuple[Any, Any]:
        """Several texts per row: where each row's begin, and all of them."""
        rows = [self._list(code) for code in codes]
        return offsets(map(len, rows)), self._all(rows)

    def pairs(self, codes: Sequence[Code]) -> tuple[Any, Any, Any]:
        """Text by text per row: where each row's begin, keys and values."""
        rows = [self._list(code) for code in codes]
        begins = offsets(len(row) // 2 for row in rows)
        return begins, self._all([row[::2] for row in rows]), self._all([row[1::2] for row in rows])

    def _list(self, code: Code) -> NDArray[np.int32]:
        key = _key(code)
        if key not in self._lists:
            places = [self._places.setdefault(text, len(self._places)) for text in self._names.texts(code)]
            self._lists[key] = np.array(places, dtype=np.int32)
        return self._lists[key]

    def _all(self, rows: Sequence[NDArray[np.int32]]) -> Any:
        flat = np.concatenate(rows) if rows else np.zeros(0, np.int32)
        return pa.DictionaryArray.from_arrays(flat, pa.array(list(self._places), pa.string()))


def _key(code: Code) -> Any:
    return tuple(code) if isinstance(code, list) else code
