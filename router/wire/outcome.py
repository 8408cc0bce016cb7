"""Outcomes on the wire: a report, checked, as an `Outcome`; and back for those who ask what was reported."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

from router.checks.fields import Range, matching, short_text
from router.checks.queries import DEFAULT_TENANT
from router.domain.decision import Outcome
from router.errors import InvalidQuery
from router.v1 import apportion_router_pb2 as pb
from router.wire.parts import from_timestamp, timestamp

METRIC = re.compile(r"[a-z][a-z0-9_]{0,63}")
MAX_CHARS = {"label": 256, "comment": 16_000, "demonstration": 256_000}
WEIGHT, NUMBER = Range(0, 1000, above=True), Range()
KEY_BYTES = 16


def read_outcome(report: pb.ReportOutcomeRequest, new_id: Callable[[], str], now_s: float) -> Outcome:
    """The report, checked; `now_s` (seconds since the epoch) is its time where it names none. Raises `InvalidQuery`."""
    subject = report.WhichOneof("subject")
    if subject is None or not getattr(report, subject):
        raise InvalidQuery("subject", "is empty", "decision_id, request_id or session_id")
    kind = report.WhichOneof("value")
    if kind is None:
        raise InvalidQuery("value", "is missing", "number, bool, label, comment or demonstration")
    value = getattr(report, kind)
    if kind == "number":
        NUMBER.check("number", value)
    elif kind in MAX_CHARS and len(value) > MAX_CHARS[kind]:
        raise InvalidQuery(kind, f"{len(value)} characters", f"at most {MAX_CHARS[kind]}")
    if report.HasField("weight"):
        WEIGHT.check("weight", report.weight)
    subject_id = short_text(subject, getattr(report, subject))
    metric = matching("metric", report.metric, METRIC)
    sample_id, source = short_text("sample_id", report.sample_id), short_text("source", report.source)
    return Outcome(
        outcome_id=new_id(),
        metric=metric,
        value=value,
        kind=kind,
        decision_id=report.decision_id,
        request_id=report.request_id,
        session_id=report.session_id,
        sample_id=sample_id,
        source=source,
        weight=report.weight if report.HasField("weight") else 1.0,
        observed_at=_when(report) if report.HasField("observed_at") else now_s,
        key=short_text("key", report.key) or default_key(subject, subject_id, sample_id, metric, source),
        supersedes=short_text("supersedes", report.supersedes),
        tenant=short_text("tenant", report.tenant) or DEFAULT_TENANT,
    )


def default_key(subject: str, subject_id: str, sample_id: str, metric: str, source: str) -> str:
    """The key of a report that names none: equal for equal subject (a sample is one of its own), metric and source."""
    text = f"{subject}\0{subject_id}\0{sample_id}\0{metric}\0{source}"
    return hashlib.blake2b(text.encode(), digest_size=KEY_BYTES).hexdigest()


def outcome_to_wire(outcome: Outcome) -> pb.ReportOutcomeRequest:
    """What was reported, as it would be reported again."""
    report = pb.ReportOutcomeRequest(
        sample_id=outcome.sample_id,
        metric=outcome.metric,
        source=outcome.source,
        weight=outcome.weight,
        observed_at=timestamp(outcome.observed_at),
        key=outcome.key,
        supersedes=outcome.supersedes,
        tenant=outcome.tenant,
    )
    if outcome.decision_id:
        report.decision_id = outcome.decision_id
    elif outcome.request_id:
        report.request_id = outcome.request_id
    else:
        report.session_id = outcome.session_id
    setattr(report, outcome.kind, outcome.value)
    return report


def _when(report: pb.ReportOutcomeRequest) -> float:
    sent = report.observed_at
    if not (0 <= sent.nanos < 1_000_000_000 and 0 <= sent.seconds <= 253_402_300_799):
        raise InvalidQuery("observed_at", f"{sent.seconds} s is no time", "from 1970 to 9999")
    return from_timestamp(sent)
