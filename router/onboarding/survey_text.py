"""Findings as a table for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from router.onboarding.first_plans import Surveyed
from router.onboarding.missing import missing


def figures(one: Surveyed) -> Iterator[tuple[str, str]]:
    """What was measured of one server, a line each."""
    who, can, speed = one.found.identity, one.found.abilities, one.found.speed
    yield "model", who.model
    yield "server", f"{'vLLM' if who.vllm else 'OpenAI-compatible'} {who.version}".strip()
    yield "context", "not said" if who.context_tokens is None else f"{who.context_tokens} tokens"
    yield "first token", _measured(speed.first_token_s, "s")
    yield "writes", _measured(speed.tokens_per_second, "tokens/s, one request")
    if speed.tokens_per_second_busy is not None:
        yield "", _measured(speed.tokens_per_second_busy, f"tokens/s, {speed.in_flight} requests together")
    yield "reads", _measured(speed.prompt_tokens_per_second, "tokens/s")
    yield "prefix cache", _prefix(one)
    yield (
        "log-probabilities",
        f"yes, {can.top_logprobs} alternatives" if can.logprobs else _flag(can.logprobs),
    )
    yield "n > 1 in one request", _flag(can.several)
    yield "usage in streams", _flag(speed.stream_usage)
    yield "tools", "accepted, not called" if can.tools and not can.tool_called else _flag(can.tools)
    yield "JSON schema", _flag(can.response_format)
    yield "thinks", can.reasoning or "no"
    yield "hidden states", _flag(can.hidden_states)
    if one.prices.price_out:
        cached = one.prices.price_in if one.prices.price_cached_in is None else one.prices.price_cached_in
        money = " / ".join(f"{price:g}" for price in (one.prices.price_in, cached, one.prices.price_out))
        yield "$ per 1M tokens", f"{money} (in / cached / out)"
    for name, cost in missing(one.found).items():
        yield "missing", f"{name}: {cost}"
    for note in one.found.notes:
        yield "note", note


def survey_text(servers: Sequence[Surveyed]) -> str:
    """A block for each server."""
    lines = []
    for one in servers:
        rows = list(figures(one))
        width = max(len(title) for title, _ in rows)
        lines.append(f"{one.name} at {one.found.identity.url}")
        lines += [f"  {title:{width}}  {text}" for title, text in rows]
        lines.append("")
    return "\n".join(lines)


def survey_json(one: Surveyed) -> Mapping[str, Any]:
    """Everything about one server as JSON types."""
    document: dict[str, Any] = msgspec.to_builtins(one.found)
    prices: dict[str, Any] = msgspec.to_builtins(one.prices)
    return document | {"prices": prices, "missing": missing(one.found)}


def _prefix(one: Surveyed) -> str:
    speed = one.found.speed
    text = _flag(speed.prefix_cache)
    if speed.prefix_cache and speed.cached_time_share is not None:
        text += f", again in {speed.cached_time_share:.0%} of the time"
    return f"{text} (seen by {speed.prefix_seen_by})" if speed.prefix_seen_by else text


def _measured(value: float | None, unit: str) -> str:
    return (
        "not measured" if value is None else f"{value:.3g} {unit}" if value < 1000 else f"{value:.0f} {unit}"
    )


def _flag(there: bool | None) -> str:
    return "not measured" if there is None else "yes" if there else "no"
