"""Headers of requests that name them, and of replies that say what was decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from router.checks.fields import short_text, shown
from router.errors import InvalidQuery

DECISION_ID_HEADER = "x-apportion-decision-id"
PLAN_HEADER = "x-apportion-plan"
COST_HEADER = "x-apportion-cost-micros"
BACKEND_HEADER = "x-apportion-backend"  # of requests that are sent on
STATUS_HEADER = "x-apportion-status"
BUNDLE_HEADER = "x-apportion-bundle"  # there where a bundle decides
DEGRADED_HEADER = "x-apportion-degraded"  # there where something is not as it should be
REQUEST_ID_HEADER = "x-request-id"  # of replies only: proxies give one to several requests
NAME_OF_A_REQUEST = "idempotency-key"
TRACEPARENT = "traceparent"
MOST_DEGRADED = 1000  # bytes of sentences as they are sent: proxies allow 8 kB for all headers
CUT = " ..."  # stands where there was more; the reply's body has it all
ENCODED = 12  # bytes of a character at most


def request_id(headers: Mapping[str, str]) -> str:
    """What the caller's headers call the request; "" if nothing. Raises `InvalidQuery`."""
    value = headers.get(NAME_OF_A_REQUEST, "")
    if header_text(value) != value:
        raise InvalidQuery(NAME_OF_A_REQUEST, f"{shown(value)} cannot be a name", "printable ASCII")
    return short_text(NAME_OF_A_REQUEST, value) if value else ""


def reply_headers(
    request_id: str, decision_id: str, plan: str, bundle: str, degraded: Sequence[str]
) -> dict[str, str]:
    """What is known when a reply begins."""
    headers = {
        REQUEST_ID_HEADER: header_text(request_id),
        DECISION_ID_HEADER: decision_id,
        PLAN_HEADER: header_text(plan),
    }
    if bundle:
        headers[BUNDLE_HEADER] = header_text(bundle)
    if degraded:
        headers[DEGRADED_HEADER] = _short_header_text("; ".join(degraded))
    return headers


def header_text(text: str) -> str:
    """`text` as a header may carry it: what is not printable ASCII in percent-encoding."""
    return text if text.isascii() and text.isprintable() else quote(text)


def _short_header_text(text: str) -> str:
    """The same in at most `MOST_DEGRADED` bytes."""
    told = header_text(text)
    if len(told) > MOST_DEGRADED:
        kept = text[:MOST_DEGRADED]
        while (over := len(told := header_text(kept + CUT)) - MOST_DEGRADED) > 0:
            kept = kept[: -max(1, over // ENCODED)]
    return told
