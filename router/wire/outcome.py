"""Outcomes on the wire: a report, checked, as an `Outcome`; and back for those who ask what was reported."""

from __future__ import annotations

from collections.abc import Callable

from router.checks.outcomes import checked_outcome
from router.domain.decision import Outcome
from router.errors import InvalidQuery
from router.v1 import apportion_router_pb2 as pb
from router.wire.parts import from_timestamp, timestamp


def read_outcome(report: pb.ReportOutcomeRequest, new_id: Callable[[], str], now_s: float) -> Outcome:
    """The report, checked; `now_s` (seconds since the epoch) is its time where it names none. Raises `InvalidQuery`."""
    subject, kind = report.WhichOneof("subject"), report.WhichOneof("value")
    if subject is None:
        raise InvalidQuery("subject", "is empty", "decision_id, request_id or session_id")
    if kind is None:
        raise InvalidQuery("value", "is missing", "number, bool, label, comment or demonstration")
    return checked_outcome(
        new_id(),
        subject=subject,
        subject_id=getattr(report, subject),
        metric=report.metric,
        kind=kind,
        value=getattr(report, kind),
        sample_id=report.sample_id,
        source=report.source,
        weight=report.weight if report.HasField("weight") else 1.0,
        observed_at=_when(report) if report.HasField("observed_at") else now_s,
        key=report.key,
        supersedes=report.supersedes,
        tenant=report.tenant,
    )


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
