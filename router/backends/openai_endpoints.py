"""The urls of one backend: which to ask next, and what each was seen to understand."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

REST_S = 5.0  # after a url could not be reached it is asked last for this long

STREAM_OPTIONS: tuple[dict[str, bool] | None, ...] = (
    None,
    {"include_usage": True},
    {
        "include_usage": True,
        "continuous_usage_stats": True,
    },  # vLLM: usage on every chunk, so that cuts are exact
)


@dataclass(slots=True)
class Endpoint:
    """One server. `options` indexes STREAM_OPTIONS and only ever goes down, until `confirmed` by a reply."""

    url: str
    in_flight: int = 0
    asked: int = 0
    resting_until: float = 0.0
    options: int = len(STREAM_OPTIONS) - 1
    confirmed: bool = False


@dataclass(slots=True)
class Endpoints:
    """Picks the url with least in flight, of equals the one asked least often; urls that failed lately come last."""

    members: tuple[Endpoint, ...]

    @classmethod
    def of(cls, urls: Collection[str]) -> Endpoints:
        """Endpoints for urls without the trailing /v1."""
        return cls(tuple(Endpoint(url.rstrip("/").removesuffix("/v1")) for url in urls))

    def pick(self, now: float, tried: Collection[str] = ()) -> Endpoint | None:
        """The next url that is not in `tried`, or None."""
        left = [member for member in self.members if member.url not in tried]
        return min(left, key=lambda one: (one.resting_until > now, one.in_flight, one.asked), default=None)
