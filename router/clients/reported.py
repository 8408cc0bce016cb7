"""What the service says to reports of outcomes, as the client's own types."""

from __future__ import annotations

from router.clients import values as types
from router.v1 import apportion_router_pb2 as pb


def read_reported(reply: pb.ReportOutcomeReply) -> types.Reported:
    """A report is committed."""
    known = reply.decision_known if reply.HasField("decision_known") else None
    return types.Reported(reply.key, reply.duplicate, known)


def read_reported_many(reply: pb.ReportOutcomesReply) -> types.ReportedMany:
    """How many reports are committed."""
    refusals = tuple((item.position, item.field, item.problem) for item in reply.refusals)
    return types.ReportedMany(reply.committed, reply.duplicates, reply.refused, refusals)
