"""Decisions and outcomes as Arrow tables of `training.log.schema`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from router.decisions.rows import readable_text, subject_of
from router.domain.decision import Decision, Outcome, SampleRecord, Status
from router.shadow import SHADOW_OF, SHADOW_RUN
from training.log.schema import DECISIONS, OUTCOMES

OVERRIDDEN = "the caller chose the plan"  # `unusable_reason`
LATEST = 253_402_300_799.0  # seconds: the year 9999, where Arrow's readers end
_NO_REPLY = (Status.FAILED, Status.CANCELLED)


@dataclass(frozen=True, slots=True)
class Arrived:
    """An outcome with what its store knows about it."""

    n: int
    received_at: float  # seconds since the epoch
    outcome: Outcome


def decision_table(numbers: Sequence[int], decisions: Sequence[Decision]) -> pa.Table:
    """Rows of a store, with their numbers there, as columns."""
    columns: dict[str, Any] = {"n": numbers}
    for name, read in _READ.items():
        columns[name] = [read(row) for row in decisions]
    arrays = {name: _array(values, DECISIONS.field(name).type) for name, values in columns.items()}
    arrays["features"] = _features([row.features for row in decisions])
    arrays["samples"] = _samples([row.samples for row in decisions])
    for name in ("probabilities", "digests", "signals", "costs", "metadata"):
        arrays[name] = _maps([getattr(row, name) for row in decisions], DECISIONS.field(name).type)
    arrays["usage"] = _records(
        [row.usage for row in decisions],
        DECISIONS.field("usage").type,
        getattr,
    )
    arrays["forecasts"] = _records(
        [row.forecasts for row in decisions],
        DECISIONS.field("forecasts").type,
        lambda pair, key: pair[key == "cost"],
    )
    return pa.table([arrays[field.name] for field in DECISIONS], schema=DECISIONS)


def outcome_table(arrived: Sequence[Arrived]) -> pa.Table:
    """Outcomes in order of arrival, as columns."""
    told = [one.outcome for one in arrived]
    subjects = [subject_of(outcome) for outcome in told]
    columns: dict[str, list[Any]] = {
        "outcome_id": [outcome.outcome_id for outcome in told],
        "tenant": [outcome.tenant for outcome in told],
        "key": [outcome.key or outcome.outcome_id for outcome in told],
        "supersedes": [outcome.supersedes if outcome.supersedes != outcome.key else "" for outcome in told],
        "n": [one.n for one in arrived],
        "received_at": [micros(one.received_at) for one in arrived],
        "observed_at": [micros(outcome.observed_at) for outcome in told],
        "subject": [kind for kind, _ in subjects],
        "subject_id": [name for _, name in subjects],
        "sample_id": [outcome.sample_id for outcome in told],
        "metric": [outcome.metric for outcome in told],
        "kind": [outcome.kind for outcome in told],
        "number": [None if isinstance(outcome.value, str) else float(outcome.value) for outcome in told],
        "text": [outcome.value if isinstance(outcome.value, str) else None for outcome in told],
        "source": [outcome.source for outcome in told],
        "weight": [outcome.weight for outcome in told],
    }
    arrays = [_array(columns[field.name], field.type) for field in OUTCOMES]
    return pa.table(arrays, schema=OUTCOMES)


def micros(seconds: float) -> int:
    """Microseconds since the epoch; a time that is none is its beginning."""
    return round(min(max(seconds, 0.0), LATEST) * 1e6) if math.isfinite(seconds) else 0


def _shadow_of(row: Decision) -> str | None:
    return row.metadata.get(SHADOW_OF) if row.unusable_reason == SHADOW_RUN else None


def _plain(name: str) -> Callable[[Decision], Any]:
    return lambda row: getattr(row, name)


_READ: Mapping[str, Callable[[Decision], Any]] = {
    **{
        field.name: _plain(field.name)
        for field in DECISIONS
        if field.name in Decision.__dataclass_fields__ and not pa.types.is_nested(field.type)
    },
    "created_at": lambda row: micros(row.created_at),
    "mode": lambda row: row.mode.value,
    "status": lambda row: row.status.value,
    "degraded": lambda row: row.degraded,
    "overridden": lambda row: row.unusable_reason == OVERRIDDEN,
    "shadow_of": _shadow_of,
    "replied": lambda row: row.status not in _NO_REPLY and row.stop_reason != "decided",
}


def _array(values: Sequence[Any], kind: Any) -> Any:
    """An array; what is no UTF-8 (lone surrogates) becomes `?`."""
    try:
        if pa.types.is_dictionary(kind):
            return pa.array(values, kind.value_type).dictionary_encode().cast(kind)
        return pa.array(values, kind)
    except UnicodeEncodeError:
        return _array([_readable(value) for value in values], kind)


def _readable(value: Any) -> Any:
    if isinstance(value, str):
        return readable_text(value)
    return tuple(map(_readable, value)) if isinstance(value, tuple) else value


def _offsets(lengths: Iterable[int]) -> Any:
    return pa.array(np.concatenate(([0], np.cumsum(list(lengths)))).astype(np.int32))


def _features(blobs: Sequence[bytes]) -> Any:
    values = np.frombuffer(b"".join(blobs), dtype="<f4")
    return pa.ListArray.from_arrays(_offsets(len(blob) // 4 for blob in blobs), pa.array(values))


def _maps(maps: Sequence[Mapping[str, Any]], kind: Any) -> Any:
    keys = [key for one in maps for key in one]
    values = [value for one in maps for value in one.values()]
    return _map(maps, keys, _array(values, kind.item_type), kind)


def _records(maps: Sequence[Mapping[str, Any]], kind: Any, read: Callable[[Any, str], Any]) -> Any:
    keys = [key for one in maps for key in one]
    values = [value for one in maps for value in one.values()]
    return _map(maps, keys, _struct(values, kind.item_type, read), kind)


def _map(maps: Sequence[Mapping[str, Any]], keys: Sequence[str], items: Any, kind: Any) -> Any:
    return pa.MapArray.from_arrays(_offsets(map(len, maps)), _array(keys, kind.key_type), items, type=kind)


def _samples(samples: Sequence[tuple[SampleRecord, ...]]) -> Any:
    kind = DECISIONS.field("samples").type.value_type
    flat = [sample for one in samples for sample in one]
    return pa.ListArray.from_arrays(_offsets(map(len, samples)), _struct(flat, kind, getattr))


def _struct(values: Sequence[Any], kind: Any, read: Callable[[Any, str], Any]) -> Any:
    arrays = [_array([read(value, field.name) for value in values], field.type) for field in kind]
    return pa.StructArray.from_arrays(arrays, fields=list(kind))
