"""Where a query stands in its caller's trace, by ids alone (W3C Trace Context, level 1): no tracing library, no clock.

The ids of our own spans follow from the decision's id, so that a model server is told its parent span before that span
is written, and spans can be written from the logged row afterwards.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Self

_HEADER = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


@dataclass(frozen=True, slots=True)
class Trace:
    """A query that is traced."""

    trace_id: str  # 32 hex digits, not all 0
    parent_id: str = ""  # 16 hex digits, the caller's span; "": the trace begins here
    decision_id: str = ""  # "": nothing was decided yet

    def of(self, decision_id: str) -> Self:
        """The same, once there is a decision."""
        return replace(self, decision_id=decision_id)

    def span_id(self, sample_id: str = "") -> str:
        """16 hex digits: of the query's span, or of one sample's."""
        return blake2b(f"{self.decision_id}/{sample_id}".encode(), digest_size=8).hexdigest()

    def header(self, sample_id: str) -> str:
        """`traceparent` of the request that draws the sample."""
        return f"00-{self.trace_id}-{self.span_id(sample_id)}-01"


@dataclass(frozen=True, slots=True)
class Caller:
    """What a `traceparent` says."""

    trace_id: str
    span_id: str
    sampled: bool


def read_traceparent(text: str) -> Caller | None:
    """The caller's span; None where the header is not one (then it is ignored, as the standard says)."""
    found = _HEADER.fullmatch(text)
    if found is None or found[1] == "ff" or (found[1] == "00" and found[5]):
        return None
    if not int(found[2], 16) or not int(found[3], 16):
        return None
    return Caller(found[2], found[3], bool(int(found[4], 16) & 1))
