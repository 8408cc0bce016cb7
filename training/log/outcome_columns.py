"""Outcomes as an Arrow table of `training.log.schema.OUTCOMES`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from router.decisions.rows import readable_text, subject_of
from router.domain.decision import Outcome
from training.log.schema import OUTCOMES

LATEST = 253_402_300_799.0  # seconds: the year 9999, where Arrow's readers end


@dataclass(frozen=True, slots=True)
class Arrived:
    """An outcome with what its store knows about it."""

    n: int
    received_at: float  # seconds since the epoch
    outcome: Outcome


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


def _array(values: Sequence[Any], kind: Any) -> Any:
    """An array; what is no UTF-8 (lone surrogates) becomes `?`."""
    try:
        if pa.types.is_dictionary(kind):
            return pa.array(values, kind.value_type).dictionary_encode().cast(kind)
        return pa.array(values, kind)
    except UnicodeEncodeError:
        return _array([readable_text(value) if isinstance(value, str) else value for value in values], kind)
