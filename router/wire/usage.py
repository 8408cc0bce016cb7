"""Usage that callers report, from the wire: checked, by backend."""

from __future__ import annotations

from collections.abc import Mapping

from router.checks.fields import Range
from router.domain.usage import Usage
from router.v1 import apportion_router_pb2 as pb

COUNT = Range(0, 10**12)


def read_usage(items: Mapping[str, pb.UsageItem]) -> dict[str, Usage]:
    """By backend. Raises `InvalidQuery` for counts that cannot be."""
    return {name: usage_from_wire(f"by_backend[{name!r}]", item) for name, item in items.items()}


def usage_from_wire(place: str, item: pb.UsageItem) -> Usage:
    """One item, `place` in the message. Raises `InvalidQuery` for counts that cannot be."""
    tokens_in, cached, out = getattr(item, "in"), item.cached_in, item.out
    for name, count in (
        ("in", tokens_in),
        ("cached_in", cached),
        ("out", out),
        ("reasoning", item.reasoning),
        ("side_calls", item.side_calls),
        ("samples", item.samples),
    ):
        COUNT.check(f"{place}.{name}", count)
    Range(0, tokens_in).check(f"{place}.cached_in", cached)
    return Usage(tokens_in, cached, out, item.reasoning, item.side_calls, item.samples)
