"""Decisions as they lie in a store, as an Arrow table of `training.log.schema.DECISIONS`.

Built column by column from the packed rows: a million rows take a minute of one core, most of it Parquet's.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from router.decisions.names import Names
from router.decisions.packed import MODES, STATUSES, Numbers, Packed, PackedSample, long_text
from router.decisions.read_only import PackedRow
from router.domain.decision import Status
from router.shadow import SHADOW_OF, SHADOW_RUN
from training.log.arrays import Coded, named, nullable, offsets
from training.log.outcome_columns import micros
from training.log.schema import DECISIONS, FORECAST, NAME, SAMPLE, USAGE

OVERRIDDEN = "the caller chose the plan"  # `unusable_reason`
DECIDED = "decided"  # `stop_reason` of a query that was only decided
_NO_REPLY = (Status.FAILED.value, Status.CANCELLED.value)
_MODES, _STATUSES = [mode.value for mode in MODES], [status.value for status in STATUSES]
_CODES = (
    "replica", "policy", "bundle", "plan", "digest", "unusable_reason", "would_plan", "stop_reason", "prices_since",
)  # fmt: skip
_PLAIN = (
    "session_id", "sequence", "price", "answer", "answer_text", "cost", "reserved", "charged", "query_text", "error",
)  # fmt: skip
_SAMPLE_PLAIN = (
    "sample_id", "stage", "index", "prefix_tokens", "tokens_in", "tokens_cached", "tokens_out", "answer",
    "answer_class", "text",
)  # fmt: skip
_MEASURED = ("confidence", "latency_s", "first_text_s")
_MEASURES = ("mean_logprob", "first_entropy", "confidence", "latency_s")


def decision_table(rows: Sequence[PackedRow], names: Names) -> pa.Table:
    """Rows of a store, whose numbers stand for `names`, as columns."""
    packed = [row.packed for row in rows]
    coded = Coded(names)
    arrays: dict[str, Any] = {
        "n": pa.array([row.n for row in rows], pa.int64()),
        "decision_id": pa.array([row.decision_id for row in rows], pa.string()),
        "tenant": named([row.tenant for row in rows]),
        "created_at": pa.array([micros(row.created_at) for row in rows], DECISIONS.field("created_at").type),
        "request_id": pa.array([long_text(row.request_id) for row in packed], pa.string()),
        "query_hash": pa.array([long_text(row.query_hash) for row in packed], pa.string()),
        "mode": named([_MODES[row.mode] for row in packed]),
        "status": named([_STATUSES[row.status] for row in packed]),
        "explored": pa.array([bool(row.flags & 1) for row in packed]),
        "usable": pa.array([bool(row.flags & 2) for row in packed]),
        "features": _features([row.features for row in packed]),
        "samples": _samples([row.samples for row in packed], coded),
        "usage": _usage(packed, coded),
        "forecasts": _forecasts([row.forecasts for row in packed], coded),
        "degraded": pa.ListArray.from_arrays(*coded.lists([row.degraded for row in packed])),
        "metadata": _metadata([row.metadata for row in packed]),
    }
    for name in _PLAIN:
        arrays[name] = pa.array([getattr(row, name) for row in packed], DECISIONS.field(name).type)
    for name in _CODES:
        arrays[name] = coded.column([getattr(row, name) for row in packed])
    arrays["would_propensity"] = pa.array([row.would_propensity or 0.0 for row in packed], pa.float64())
    arrays["probabilities"] = _numbers([row.probabilities for row in packed], "<f8", coded)
    arrays["signals"] = _numbers([row.signals for row in packed], "<f4", coded)
    arrays["costs"] = _numbers(
        [row.costs or (row.used, array("d", [row.cost]).tobytes()) for row in packed], "<f8", coded
    )
    arrays["propensity"] = pa.array([_propensity(row, names) for row in packed], pa.float64())
    measures = np.frombuffer(b"".join(row.measures for row in packed), "<f4").reshape(-1, len(_MEASURED))
    for at, name in enumerate(_MEASURED):
        arrays[name] = nullable(measures[:, at].astype(np.float64), pa.float64())
    starts, keys, values = coded.pairs([row.digests for row in packed])
    arrays["digests"] = pa.MapArray.from_arrays(starts, keys, values, type=pa.map_(NAME, NAME))
    reasons, stops = arrays["unusable_reason"].to_pylist(), arrays["stop_reason"].to_pylist()
    arrays["overridden"] = pa.array([reason == OVERRIDDEN for reason in reasons], pa.bool_())
    arrays["shadow_of"] = pa.array(
        [
            row.metadata.get(SHADOW_OF) if why == SHADOW_RUN else None
            for row, why in zip(packed, reasons, strict=True)
        ],
        pa.string(),
    )
    arrays["replied"] = pa.array(
        [
            _STATUSES[row.status] not in _NO_REPLY and stop != DECIDED
            for row, stop in zip(packed, stops, strict=True)
        ],
        pa.bool_(),
    )
    return pa.table([arrays[field.name].cast(field.type) for field in DECISIONS], schema=DECISIONS)


def _propensity(row: Packed, names: Names) -> float:
    if row.propensity is not None:
        return row.propensity
    place = names.texts(row.probabilities[0]).index(names.text(row.plan))
    return array("d", row.probabilities[1])[place]


def _features(blobs: Sequence[bytes]) -> Any:
    whole = [zlib.decompress(blob) if blob else b"" for blob in blobs]
    values = np.frombuffer(b"".join(whole), dtype="<f4")
    return pa.ListArray.from_arrays(offsets(len(blob) // 4 for blob in whole), pa.array(values))


def _numbers(maps: Sequence[Numbers], kind: str, coded: Coded) -> Any:
    starts, keys = coded.lists([code for code, _ in maps])
    values = np.frombuffer(b"".join(blob for _, blob in maps), dtype=kind).astype(np.float64)
    return pa.MapArray.from_arrays(starts, keys, pa.array(values), type=pa.map_(NAME, pa.float64()))


def _forecasts(maps: Sequence[Numbers], coded: Coded) -> Any:
    starts, keys = coded.lists([code for code, _ in maps])
    values = np.frombuffer(b"".join(blob for _, blob in maps), dtype="<f4").astype(np.float64)
    pairs = [nullable(values[::2], pa.float64()), pa.array(values[1::2])]
    items = pa.StructArray.from_arrays(pairs, fields=list(FORECAST))
    return pa.MapArray.from_arrays(starts, keys, items, type=pa.map_(NAME, FORECAST))


def _usage(packed: Sequence[Packed], coded: Coded) -> Any:
    starts, keys = coded.lists([row.used for row in packed])
    counts = np.array([used for row in packed for used in row.usage], dtype=np.float64).reshape(
        -1, len(USAGE)
    )
    items = [pa.array(counts[:, at]).cast(field.type) for at, field in enumerate(USAGE)]
    return pa.MapArray.from_arrays(
        starts, keys, pa.StructArray.from_arrays(items, fields=list(USAGE)), type=pa.map_(NAME, USAGE)
    )


def _samples(samples: Sequence[list[PackedSample]], coded: Coded) -> Any:
    flat = [sample for one in samples for sample in one]
    measures = np.frombuffer(b"".join(sample.measures for sample in flat), dtype="<f4").reshape(
        -1, len(_MEASURES)
    )
    arrays: dict[str, Any] = {
        name: pa.array([getattr(sample, name) for sample in flat], SAMPLE.field(name).type)
        for name in _SAMPLE_PLAIN
    }
    for name in ("backend", "finish_reason"):
        arrays[name] = coded.column([getattr(sample, name) for sample in flat]).cast(NAME)
    for at, name in enumerate(_MEASURES):
        arrays[name] = nullable(measures[:, at].astype(np.float64), pa.float64())
    items = pa.StructArray.from_arrays([arrays[field.name] for field in SAMPLE], fields=list(SAMPLE))
    return pa.ListArray.from_arrays(offsets(map(len, samples)), items)


def _metadata(maps: Sequence[dict[str, str]]) -> Any:
    keys = pa.array([key for one in maps for key in one], pa.string())
    values = pa.array([value for one in maps for value in one.values()], pa.string())
    return pa.MapArray.from_arrays(offsets(map(len, maps)), keys, values)
