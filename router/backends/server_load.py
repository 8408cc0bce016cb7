"""What a vLLM server's `/metrics` say of its load, and how fast the next sample will be there.

Two looks at counters give the mean time to a first token and between tokens in the time between them. Who comes now
waits behind those who wait already: with r requests running, w waiting and a mean stay of s seconds one leaves every
s / r seconds (Little 1961), so that the queue is gone after w s / r. A cache that is all but full lets nobody in who is
not yet there. When it fails: the mean stay of others is not that of those who wait; and a server that others ask too
changes between two looks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

from prometheus_client.parser import text_string_to_metric_families

from router.domain.speed import Speed

FULL = 0.95  # share of the KV cache: beyond it the next one waits
_MOST = 1e15  # of a number that can be meant
_PREFIX = "vllm:"
_NAMES = {  # what vLLM calls them, in its older versions too
    "num_requests_running": "running",
    "num_requests_waiting": "waiting",
    "kv_cache_usage_perc": "cache_used",
    "gpu_cache_usage_perc": "cache_used",
    "time_to_first_token_seconds_sum": "first_s",
    "time_to_first_token_seconds_count": "firsts",
    "inter_token_latency_seconds_sum": "between_s",
    "inter_token_latency_seconds_count": "betweens",
    "time_per_output_token_seconds_sum": "between_s",
    "time_per_output_token_seconds_count": "betweens",
    "e2e_request_latency_seconds_sum": "stay_s",
    "e2e_request_latency_seconds_count": "stays",
}


@dataclass(frozen=True, slots=True)
class ServerLoad:
    """One look: what is there now, and sums and counts since the server's start."""

    running: float = 0.0  # requests
    waiting: float = 0.0
    cache_used: float = 0.0  # share of the KV cache
    first_s: float = 0.0  # to first tokens, summed
    firsts: float = 0.0
    between_s: float = 0.0
    betweens: float = 0.0
    stay_s: float = 0.0
    stays: float = 0.0


def read_load(text: str) -> ServerLoad | None:
    """Of one server's `/metrics`, all of its engines together; None where they are not vLLM's, or are garbled."""
    lines = [line for line in text.splitlines() if line.startswith(_PREFIX) and _name(line) in _NAMES]
    found = dict.fromkeys((field.name for field in fields(ServerLoad)), 0.0)
    engines = 0
    try:
        for family in text_string_to_metric_families("\n".join(lines) + "\n"):
            for sample in family.samples:
                name = _NAMES[sample.name.removeprefix(_PREFIX)]
                engines += name == "running"
                if not 0.0 <= sample.value <= _MOST:
                    return None
                found[name] += sample.value
    except (ValueError, KeyError, OverflowError):
        return None
    if not engines:
        return None
    found["cache_used"] /= engines
    return ServerLoad(**found)


def together(loads: Iterable[ServerLoad]) -> ServerLoad | None:
    """Of several servers of one backend; None of none."""
    known: Sequence[ServerLoad] = tuple(loads)
    if not known:
        return None
    total = {field.name: sum(getattr(load, field.name) for load in known) for field in fields(ServerLoad)}
    total["cache_used"] = min(load.cache_used for load in known)  # the next request goes where there is room
    return ServerLoad(**total)


def speed_now(before: ServerLoad, now: ServerLoad, alone: Speed) -> Speed:
    """How fast the next sample will be; `alone` is the speed while nobody else asks."""
    if now.running + now.waiting == 0:
        return alone  # what was measured under load is over
    first = _mean(now.first_s - before.first_s, now.firsts - before.firsts, alone.first_token_s)
    between = _mean(now.between_s - before.between_s, now.betweens - before.betweens, 0.0)
    ever = _mean(now.stay_s, now.stays, 0.0)
    stay = _mean(now.stay_s - before.stay_s, now.stays - before.stays, ever)
    waiting = max(now.waiting, 1.0) if now.cache_used >= FULL else now.waiting
    queue = waiting / max(1.0, now.running) * stay
    return Speed(
        max(first, alone.first_token_s + queue), 1.0 / between if between > 0 else alone.tokens_per_second
    )


def _mean(total: float, count: float, otherwise: float) -> float:
    """`otherwise` where there was nothing, or the server was started anew in between."""
    return total / count if count > 0 and total > 0 else otherwise


def _name(line: str) -> str:
    end = min(place for place in (line.find("{"), line.find(" "), len(line)) if place >= 0)
    return line[len(_PREFIX) : end]
