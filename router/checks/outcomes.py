"""What a report about an answer must be, whatever door it came through. Fields are named as on the wire."""

from __future__ import annotations

import hashlib
import re

from router.checks.fields import Range, matching, one_of, short_text
from router.checks.queries import DEFAULT_TENANT
from router.domain.decision import Outcome
from router.errors import InvalidQuery

METRIC = re.compile(r"[a-z][a-z0-9_]{0,63}")
MAX_CHARS = {"label": 256, "comment": 16_000, "demonstration": 256_000}
KINDS = ("number", "bool", *MAX_CHARS)
SUBJECTS = ("decision_id", "request_id", "session_id")
WEIGHT, NUMBER = Range(0, 1000, above=True), Range()
KEY_BYTES = 16


def checked_outcome(
    outcome_id: str,
    *,
    subject: str,  # one of `SUBJECTS`
    subject_id: str,
    metric: str,
    kind: str,
    value: float | bool | str,
    observed_at: float,  # seconds since the epoch
    sample_id: str = "",
    source: str = "",
    weight: float = 1.0,
    key: str = "",  # "": it follows from what the report is about
    supersedes: str = "",
    tenant: str = "",
) -> Outcome:
    """The report as an `Outcome`. Raises `InvalidQuery`."""
    if subject not in SUBJECTS or not subject_id:
        raise InvalidQuery("subject", "is empty", "decision_id, request_id or session_id")
    one_of("value", "kind", kind, KINDS)
    if kind == "number":
        NUMBER.check("number", float(value))
    elif kind in MAX_CHARS and len(str(value)) > MAX_CHARS[kind]:
        raise InvalidQuery(kind, f"{len(str(value))} characters", f"at most {MAX_CHARS[kind]}")
    WEIGHT.check("weight", weight)
    subject_id = short_text(subject, subject_id)
    metric = matching("metric", metric, METRIC)
    sample_id, source = short_text("sample_id", sample_id), short_text("source", source)
    supersedes = short_text("supersedes", supersedes)
    return Outcome(
        outcome_id=outcome_id,
        metric=metric,
        value=value,
        kind=kind,
        decision_id=subject_id if subject == "decision_id" else "",
        request_id=subject_id if subject == "request_id" else "",
        session_id=subject_id if subject == "session_id" else "",
        sample_id=sample_id,
        source=source,
        weight=weight,
        observed_at=observed_at,
        key=short_text("key", key)
        or default_key(subject, subject_id, sample_id, metric, source, supersedes=supersedes),
        supersedes=supersedes,
        tenant=short_text("tenant", tenant) or DEFAULT_TENANT,
    )


def default_key(
    subject: str, subject_id: str, sample_id: str, metric: str, source: str, *, supersedes: str = ""
) -> str:
    """The key of a report that names none: equal for equal subject (a sample is one of its own), metric and source.

    A correction has one of its own, else it would be taken for the report that it corrects, sent again.
    """
    text = f"{subject}\0{subject_id}\0{sample_id}\0{metric}\0{source}" + (supersedes and f"\0{supersedes}")
    return hashlib.blake2b(text.encode(), digest_size=KEY_BYTES).hexdigest()
