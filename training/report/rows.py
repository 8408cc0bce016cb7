"""The log as a report reads it: rows and outcomes of a store, decoded as far as a report needs them.

What older versions did not write has its default.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from router.decisions.read_only import open_read_only
from router.domain.decision import Mode, Status
from router.shadow import SHADOW_OF, SHADOW_RUN


class Row(msgspec.Struct, frozen=True, gc=False):
    """A decision; see `router.domain.decision.Decision`."""

    decision_id: str
    created_at: float
    mode: Mode
    bundle: str
    plan: str
    digest: str
    status: Status
    request_id: str = ""
    session_id: str = ""
    tenant: str = ""
    usable: bool = False
    unusable_reason: str = ""
    would_plan: str = ""
    probabilities: dict[str, float] = {}
    forecasts: dict[str, tuple[float | None, float]] = {}
    stop_reason: str = ""
    answer: str | None = None
    confidence: float | None = None
    cost: float = 0.0
    latency_s: float = 0.0
    metadata: dict[str, str] = {}

    @property
    def shadow_of(self) -> str:
        """The decision that this is a shadow run of; "" for a caller's query, whatever its metadata say."""
        return self.metadata.get(SHADOW_OF, "") if self.unusable_reason == SHADOW_RUN else ""

    @property
    def replied(self) -> bool:
        """Whether there was a reply."""
        return self.status not in (Status.FAILED, Status.CANCELLED) and self.stop_reason != "decided"


class Reported(msgspec.Struct, frozen=True, gc=False):
    """An outcome; see `router.domain.decision.Outcome`."""

    metric: str
    value: float | bool | str
    kind: str
    decision_id: str = ""
    request_id: str = ""
    session_id: str = ""
    sample_id: str = ""
    weight: float = 1.0
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Log:
    """What a period of a store holds."""

    rows: tuple[Row, ...]  # oldest first
    outcomes: tuple[Reported, ...]  # without what was superseded
    superseded: int  # outcomes that a later report took back
    unreadable: int  # rows and outcomes that could not be decoded
    spooled: bool  # a spool lies beside the file: it may hold rows that are not in it


def read_log(store: str | Path, since: float, until: float) -> Log:
    """Decisions made in [since, until) (seconds since the epoch), and all outcomes. Raises `StoreError`."""
    rows: list[Row] = []
    outcomes: list[Reported] = []
    superseded = unreadable = 0
    outcome_of = msgspec.msgpack.Decoder(Reported)
    with open_read_only(store) as look:
        for decision in look.decisions(since, until):
            if decision is None:
                unreadable += 1
            else:
                rows.append(Row(*(getattr(decision, name) for name in Row.__struct_fields__)))
        for body, later in look.outcomes():
            if later:
                superseded += 1
                continue
            try:
                outcomes.append(outcome_of.decode(body))
            except msgspec.DecodeError:
                unreadable += 1
        return Log(tuple(rows), tuple(outcomes), superseded, unreadable, look.spooled)
