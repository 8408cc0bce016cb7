"""What was deleted from a store is deleted from its export: files that hold rows of it are written anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace
from numpy.typing import NDArray

from training.log.manifest import Manifest, PartFile
from training.log.outcome_columns import micros
from training.log.parts import read_part, write_part
from training.log.place import Place
from training.log.schema import DECISIONS, OUTCOMES

_TIMES = {"decisions": "created_at", "outcomes": "received_at", "grades": "received_at"}


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a store deleted."""

    tenants: Mapping[str, float]  # name -> up to when, seconds since the epoch
    decisions: frozenset[str]

    @classmethod
    def of(cls, notes: Iterable[tuple[str, str, float]]) -> Deleted:
        """From the store's notes, in their order: tenant, decision, time."""
        tenants: dict[str, float] = {}
        decisions: set[str] = set()
        for tenant, decision_id, at in notes:
            if decision_id:
                decisions.add(decision_id)
            else:
                tenants[tenant] = max(at, tenants.get(tenant, 0.0))
        return cls(tenants, frozenset(decisions))

    def __bool__(self) -> bool:
        return bool(self.tenants or self.decisions)


def forget(place: Place, manifest: Manifest, store: str, deleted: Deleted) -> Manifest:
    """The manifest with new files in the place of those that held something of it; the old ones are still there."""
    requests: set[str] = set()
    removed: set[str] = set()  # decisions
    kept: list[PartFile] = []
    for file in sorted(manifest.files, key=lambda file: file.kind != "decisions"):  # their requests first
        if file.store not in (store, ""):
            kept.append(file)
            continue
        table = read_part(place, file, DECISIONS if file.kind == "decisions" else OUTCOMES)
        gone = _gone(table, file.kind, deleted, requests)
        if file.kind == "grades":  # graded after its decision was deleted, perhaps
            gone |= _about(table, "decision", pa.array(sorted(removed), pa.string()))
        if not gone.any():
            kept.append(file)
            continue
        if file.kind == "decisions":
            requests |= _named(table, gone, deleted)
            removed.update(table["decision_id"].filter(pa.array(gone)).to_pylist())
        left = table.filter(pa.array(~gone))
        if left.num_rows:
            name = f"{file.path.removesuffix('.parquet')}-.parquet"
            kept.append(write_part(place, name, file.kind, file.store, left))
    return replace(manifest, files=tuple(kept))


def _gone(table: Any, kind: str, deleted: Deleted, requests: set[str]) -> NDArray[np.bool_]:
    tenant = table["tenant"].cast(pa.string())
    moment = table[_TIMES[kind]].cast(pa.int64())
    gone = np.zeros(table.num_rows, dtype=np.bool_)
    for name, until in deleted.tenants.items():
        gone |= _mask(pc.and_(pc.equal(tenant, name), pc.less_equal(moment, micros(until))))
    if deleted.decisions:
        ids = pa.array(sorted(deleted.decisions), pa.string())
        if kind == "decisions":
            gone |= _mask(pc.is_in(table["decision_id"], value_set=ids))
        else:
            gone |= _about(table, "decision", ids)
            asked = pa.array(sorted(requests), pa.string())
            gone |= _about(
                table, "request", asked, pc.binary_join_element_wise(tenant, table["subject_id"], "\0")
            )
    return gone


def _about(table: Any, kind: str, ids: Any, names: Any = None) -> NDArray[np.bool_]:
    mine = pc.equal(table["subject"].cast(pa.string()), kind)
    return _mask(pc.and_(mine, pc.is_in(table["subject_id"] if names is None else names, value_set=ids)))


def _named(table: Any, gone: NDArray[np.bool_], deleted: Deleted) -> set[str]:
    """Tenant and request of the decisions that were deleted by their ids."""
    rows = table.select(["decision_id", "tenant", "request_id"]).filter(pa.array(gone)).to_pylist()
    asked = (row for row in rows if row["decision_id"] in deleted.decisions and row["request_id"])
    return {f"{row['tenant']}\0{row['request_id']}" for row in asked}


def _mask(values: Any) -> NDArray[np.bool_]:
    flat = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return np.asarray(flat.to_numpy(zero_copy_only=False), np.bool_)
