"""POST /v1/feedback: how an answer turned out. 200 means committed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from aiohttp import web

from router.checks.outcomes import checked_outcome
from router.domain.decision import Outcome
from router.errors import InvalidQuery
from router.openai_door.answers import answer
from router.openai_door.body import json_body, json_object, typed
from router.openai_door.caller import tenant_of
from router.openai_door.chat import Admission
from router.openai_door.headers import DECISION_ID_HEADER, header_text
from router.openai_door.request_types import FeedbackAsked
from router.reports import Reports

TEXTS = ("label", "comment", "demonstration")
REPLY_IDS = ("chatcmpl-", "cmpl-")
LATEST = 253_402_300_799.0  # the end of 9999, as on the wire


@dataclass(frozen=True, slots=True)
class Feedback:
    """Takes reports in, as `ReportOutcome` of the gRPC service does."""

    reports: Reports
    admission: Admission
    new_id: Callable[[], str]
    wall_s: Callable[[], float]

    async def handle(self, request: web.Request) -> web.Response:
        """The report's key, once it is committed; `duplicate` where it was known."""
        body = await json_body(request)
        with self.admission.enter(query=False):
            outcome = read_feedback(body, self.new_id, self.wall_s())
            outcome = replace(outcome, tenant=tenant_of(request, outcome.tenant))
            (new,) = await self.reports.take([outcome])
        reply = answer({"object": "feedback", "key": outcome.key, "duplicate": not new})
        if outcome.decision_id:
            reply.headers[DECISION_ID_HEADER] = header_text(outcome.decision_id)
        return reply


def read_feedback(body: bytes, new_id: Callable[[], str], now_s: float) -> Outcome:
    """The report, checked; `now_s` (seconds since the epoch) is its time where it names none. Raises `InvalidQuery`."""
    asked = typed(json_object(body), FeedbackAsked)
    subject, subject_id = _subject(asked)
    observed_at = now_s if asked.observed_at is None else asked.observed_at
    if not 0 <= observed_at <= LATEST:
        raise InvalidQuery("observed_at", f"{observed_at} s is no time", "from 1970 to 9999")
    return checked_outcome(
        new_id(),
        subject=subject,
        subject_id=subject_id,
        metric=asked.metric,
        kind=_kind(asked),
        value=asked.value,
        observed_at=observed_at,
        sample_id=asked.sample_id or "",
        source=asked.source or "",
        weight=1.0 if asked.weight is None else asked.weight,
        key=asked.key or "",
        supersedes=asked.supersedes or "",
        tenant=asked.tenant or "",
    )


def _subject(asked: FeedbackAsked) -> tuple[str, str]:
    said = {
        "id": asked.id,
        "decision_id": asked.decision_id,
        "request_id": asked.request_id,
        "session_id": asked.session_id,
    }
    named = [(name, value) for name, value in said.items() if value]
    if len(named) != 1:
        raise InvalidQuery("id", f"{len(named)} ids", f"one of {', '.join(said)}")
    name, value = named[0]
    if name != "id":
        return name, value
    for beginning in REPLY_IDS:
        if value.startswith(beginning):
            return "decision_id", value.removeprefix(beginning)
    raise InvalidQuery("id", "is no reply's id", f"{' or '.join(REPLY_IDS)} and what follows")


def _kind(asked: FeedbackAsked) -> str:
    if isinstance(asked.value, str):
        kind = asked.kind or "comment"
        if kind in TEXTS:
            return kind
        raise InvalidQuery("kind", f"{kind[:60]!r} is no kind of text", ", ".join(TEXTS))
    own = "bool" if isinstance(asked.value, bool) else "number"
    if asked.kind not in (None, own):
        raise InvalidQuery(
            "kind", f"is {asked.kind[:60]!r}, but the value is a {own}", f"{own}, or leave it out"
        )
    return own
