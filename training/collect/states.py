"""Hidden states while collecting: taken from the connector's folder, kept in the journal, a column of the recording."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from predictors.vllm.state_file import state_path, take_states

WAIT_S = 10.0  # the server answers before it has written; here nobody is waiting
_PAUSE_S = 0.01


async def states_soon(folder: Path, key: str, sleep: Callable[[float], Awaitable[None]]) -> dict[str, Any]:
    """The journal's entries for one sample's states; empty where none came in time or what came is broken."""
    for _ in range(round(WAIT_S / _PAUSE_S)):
        try:
            found = take_states(state_path(folder, "", key))
        except (ValueError, OSError):
            return {}
        if found is not None:
            pieces = [[part, layer, found.width] for part, layer in found.pieces]
            return {"hidden": b64encode(found.values).decode(), "pieces": pieces}
        await sleep(_PAUSE_S)
    return {}


def hidden_column(pa: Any, rows: Sequence[Mapping[str, Any]]) -> tuple[Any, dict[str, Any]]:
    """The column and what `meta.json` says of it; (None, {}) where no row has states.

    A backend's vectors are all made of the same pieces: those that most of its rows have; others are left out.
    """
    import numpy as np

    made_of: dict[str, Counter[tuple[tuple[str, int, int], ...]]] = {}
    for row in rows:
        if row.get("hidden"):
            made_of.setdefault(row["backend"], Counter())[_pieces(row)] += 1
    if not made_of:
        return None, {}
    usual = {backend: kinds.most_common(1)[0][0] for backend, kinds in made_of.items()}
    cells = [
        np.frombuffer(b64decode(row["hidden"]), "<f2")
        if row.get("hidden") and _pieces(row) == usual[row["backend"]]
        else None
        for row in rows
    ]
    said = {
        backend: [{"part": part, "layer": layer, "width": width} for part, layer, width in pieces]
        for backend, pieces in usual.items()
    }
    return pa.array(cells, pa.list_(pa.float16())), said


def _pieces(row: Mapping[str, Any]) -> tuple[tuple[str, int, int], ...]:
    return tuple((part, layer, width) for part, layer, width in row["pieces"])
