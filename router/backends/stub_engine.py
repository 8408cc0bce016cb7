"""What the stub server counts and remembers: sequences, tokens, prefix cache, faults to come, requests seen."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from router.errors import ConfigError

FAULTS = {
    "400": "refuse the request",
    "401": "refuse the key",
    "404": "do not know the model",
    "422": "refuse the request",
    "429": "too many requests",
    "500": "break before the first token",
    "503": "not ready",
    "html": "an HTML page with status 200",
    "hang": "take the request and say nothing",
    "hang_mid_stream": "say nothing more after the first tokens",
    "die_mid_stream": "drop the connection after the first tokens",
    "end_early": "end the stream without an end of the sample",
    "error_event": "send an error in the middle of the stream",
    "bad_json": "send a broken event in the middle of the stream",
    "bad_utf8": "send bytes that are not UTF-8 in the middle of the stream",
    "no_usage": "never report usage",
    "no_continuous_usage": "refuse continuous_usage_stats with status 400",
    "no_stream_options": "refuse stream_options with status 400",
    "one_choice": "ignore n",
    "no_stream": "answer in one piece, also where a stream was asked for",
    "slow": "twenty times slower than recorded, also at pace 0",
    "over_max_tokens": "give four times max_tokens",
}
BLOCK = 16  # tokens per block of the prefix cache, as in vLLM
CACHED_BLOCKS = 100_000
REMEMBERED = 200  # requests


def check_fault(kind: str) -> str:
    """Return `kind`. Raises `ConfigError` with the choices where it is none."""
    if kind not in FAULTS:
        raise ConfigError(f"unknown fault {kind!r}; choose from {', '.join(FAULTS)}")
    return kind


@dataclass(slots=True)
class Engine:
    """All counters start at 0 and only grow, but for `running`."""

    running: int = 0  # sequences
    most_running: int = 0
    requests: int = 0
    finished: int = 0  # sequences that came to their end
    aborted: int = 0  # sequences whose client left, or that a fault ended
    prompt_tokens: int = 0
    tokens: int = 0  # generated
    cache_queries: int = 0  # prompt tokens looked up
    cache_hits: int = 0  # of these, found
    seen: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _faults: deque[str] = field(default_factory=deque)
    _blocks: dict[int, None] = field(default_factory=dict)  # in order of use

    def plan_fault(self, kind: str, count: int) -> None:
        """The next `count` requests fail in this way."""
        self._faults.extend([check_fault(kind)] * count)

    def next_fault(self) -> str:
        """The fault of the request that just came, or ""."""
        return self._faults.popleft() if self._faults else ""

    @contextmanager
    def sequences(self, count: int) -> Iterator[list[bool]]:
        """`count` sequences run; mark those True that came to their end."""
        ended = [False] * count
        self.running += count
        self.most_running = max(self.most_running, self.running)
        try:
            yield ended
        finally:
            self.running -= count
            self.finished += sum(ended)
            self.aborted += count - sum(ended)

    def look_up(self, prompt: list[str], salt: str) -> int:
        """Tokens of the prompt that are in the prefix cache; the rest is there from now on.

        Whole blocks only, and never the whole prompt, as in vLLM. Another salt never finds anything of this one.
        """
        hits, chain, found = 0, hash(salt), True
        for start in range(0, len(prompt) - BLOCK + 1, BLOCK):
            chain = hash((chain, *prompt[start : start + BLOCK]))
            found = found and chain in self._blocks
            hits += BLOCK if found else 0
            self._blocks.pop(chain, None)
            self._blocks[chain] = None
        while len(self._blocks) > CACHED_BLOCKS:
            del self._blocks[next(iter(self._blocks))]
        hits = min(hits, max(0, len(prompt) - 1) // BLOCK * BLOCK)
        self.cache_queries += len(prompt)
        self.cache_hits += hits
        return hits

    def forget(self) -> None:
        """Back to the start, but for the sequences that still run."""
        self.most_running = self.running
        self.requests = self.finished = self.aborted = self.prompt_tokens = self.tokens = 0
        self.cache_queries = self.cache_hits = 0
        for memory in (self.seen, self._faults, self._blocks):
            memory.clear()

    def state(self) -> dict[str, int]:
        """The counters, for tests."""
        return {
            "running": self.running,
            "most_running": self.most_running,
            "requests": self.requests,
            "finished": self.finished,
            "aborted": self.aborted,
            "prompt_tokens": self.prompt_tokens,
            "tokens": self.tokens,
            "faults_left": len(self._faults),
        }

    def metrics(self, model: str) -> str:
        """The counters in Prometheus' text format, under vLLM's names."""
        rows = (
            ("gauge", "num_requests_running", self.running),
            ("gauge", "num_requests_waiting", 0),
            ("counter", "prompt_tokens_total", self.prompt_tokens),
            ("counter", "generation_tokens_total", self.tokens),
            ("counter", "prefix_cache_queries_total", self.cache_queries),
            ("counter", "prefix_cache_hits_total", self.cache_hits),
        )
        return "".join(
            f'# TYPE vllm:{name} {kind}\nvllm:{name}{{model_name="{model}"}} {float(value)}\n'
            for kind, name, value in rows
        )
