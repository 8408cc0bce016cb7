"""What a vLLM server counts: read from its /metrics, compared, waited for."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields

from training.errors import TrainingError

TIMEOUT_S = 60.0  # a CPU that is busy answers late
GAUGES = ("running", "waiting")
OPTIONAL = "finished"  # 0 where a server does not count it
NAMES = {
    "prompt_tokens": "vllm:prompt_tokens_total",
    "generation_tokens": "vllm:generation_tokens_total",
    "cache_queries": "vllm:prefix_cache_queries_total",
    "cache_hits": "vllm:prefix_cache_hits_total",
    "finished": "vllm:request_success_total",
    "running": "vllm:num_requests_running",
    "waiting": "vllm:num_requests_waiting",
}


@dataclass(frozen=True, slots=True)
class Counters:
    """Sums over a server's engines. A request with `n` choices is `n` sequences, and its prompt counts `n` times."""

    prompt_tokens: int = 0
    generation_tokens: int = 0
    cache_queries: int = 0  # prompt tokens that were looked up in the prefix cache
    cache_hits: int = 0  # of these, found
    finished: int = 0  # sequences that came to their end; those that were cut are not among them
    running: int = 0  # sequences at this moment
    waiting: int = 0  # sequences at this moment

    @property
    def at_rest(self) -> bool:
        """Nothing runs and nothing waits."""
        return self.running == self.waiting == 0

    def since(self, before: Counters) -> Counters:
        """What was counted since an earlier reading; what runs and waits is as it is now."""
        now, then = astuple(self), astuple(before)
        names = [field.name for field in fields(self)]
        return Counters(
            *(a if name in GAUGES else a - b for name, a, b in zip(names, now, then, strict=True))
        )


def parse(metrics: str) -> Counters:
    """Read Prometheus' text format; raise TrainingError for a page that lacks one of the counters."""
    sums: dict[str, float] = {}
    for line in metrics.splitlines():
        name = line.partition(" ")[0].partition("{")[0]
        if name.startswith("vllm:") and 'finished_reason="abort"' not in line:
            sums[name] = sums.get(name, 0.0) + float(line.rpartition(" ")[2])
    missing = [name for field, name in NAMES.items() if name not in sums and field != OPTIONAL]
    if missing:
        raise TrainingError(f"the server's /metrics lack {', '.join(missing)}: is it vLLM?")
    return Counters(**{field: round(sums.get(name, 0.0)) for field, name in NAMES.items()})


def read_counters(url: str) -> Counters:
    """The counters of the server at `url` (without /v1); raise TrainingError if it does not say."""
    try:
        with urllib.request.urlopen(f"{url}/metrics", timeout=TIMEOUT_S) as response:  # noqa: S310 (loopback)
            return parse(response.read().decode("utf-8", "replace"))
    except OSError as error:
        raise TrainingError(f"{url}/metrics: {error}") from error


def wait_for(
    url: str,
    met: Callable[[Counters], bool],
    within_s: float = 60.0,
    *,
    pause_s: float = 0.1,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Counters:
    """The first reading for which `met` holds, or the last one before the time is over."""
    ends = clock() + within_s
    while True:
        seen = read_counters(url)
        if met(seen) or clock() >= ends:
            return seen
        sleep(pause_s)
