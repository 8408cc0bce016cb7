"""Which outcomes of an exported log count, and which is about which decision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_SUBJECTS = {"decision": "decision_id", "request": "request_id", "session": "session_id"}


def current_outcomes(told: Any) -> NDArray[np.bool_]:
    """Which outcomes no other one of their tenant supersedes, and which are the first under their key, shape (m,)."""
    keys = _joined(told["tenant"], told["key"])
    corrected = _joined(told["tenant"], told["supersedes"]).filter(pc.not_equal(told["supersedes"], ""))
    superseded = pc.is_in(keys, value_set=corrected.combine_chunks()).to_numpy(zero_copy_only=False)
    first = np.zeros(told.num_rows, dtype=np.bool_)
    codes = _codes(keys)
    first[np.unique(codes, return_index=True)[1]] = True
    return np.asarray(first & ~superseded.astype(np.bool_))


def pairs_of(table: Any, told: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of outcomes and of decisions that belong together, by outcome, then by decision.

    Shadow runs bear no request's and no session's id: only what names their own id is about them (grades).
    """
    kinds = told["subject"].cast(pa.string())
    pairs = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
    for kind, name in _SUBJECTS.items():
        mine = np.flatnonzero(pc.equal(kinds, kind).to_numpy(zero_copy_only=False).astype(np.bool_))
        if not len(mine):
            continue
        asked = told.take(pa.array(mine))
        wanted = _joined(asked["tenant"], asked["subject_id"]).combine_chunks().dictionary_encode()
        rows = np.flatnonzero(np.asarray(pc.not_equal(table[name], "").to_numpy(), np.bool_))
        there = table.select(["tenant", name]).take(pa.array(rows))
        code = pc.index_in(_joined(there["tenant"], there[name]), value_set=wanted.dictionary)
        code = code.fill_null(-1).to_numpy(zero_copy_only=False)
        order = np.argsort(code, kind="stable")
        low, high = (
            np.searchsorted(code[order], wanted.indices.to_numpy(), side=side) for side in ("left", "right")
        )
        count = high - low
        inside = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        pairs.append((np.repeat(mine, count), rows[order[np.repeat(low, count) + inside]]))
    outcome, decision = (np.concatenate(part).astype(np.int64) for part in zip(*pairs, strict=True))
    by_outcome = np.lexsort((decision, outcome))
    return outcome[by_outcome], decision[by_outcome]


def _joined(tenant: Any, name: Any) -> Any:
    return pc.binary_join_element_wise(tenant.cast(pa.string()), name.cast(pa.string()), "\0")


def _codes(texts: Any) -> NDArray[np.int64]:
    coded = texts.combine_chunks().dictionary_encode() if isinstance(texts, pa.ChunkedArray) else texts
    return np.asarray(coded.indices.to_numpy(zero_copy_only=False), np.int64)
