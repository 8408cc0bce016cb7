"""How fast a server is: time to the first token, tokens per second alone and together, what its prefix cache saves.

Streams are left when their time is over, so that a slow server costs as much time as a fast one. When it fails: the
figures are those of the load that the server has meanwhile (where it has vLLM's counters, what it writes for others is
counted too); and a server gives more tokens per second to hundreds of requests than to the few that are in flight
here, so that prices made from them are on the dear side.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from router.backends.openai_endpoints import STREAM_OPTIONS
from router.backends.openai_probe import Probe, Streamed
from router.errors import BackendError, BackendRefused, BackendTimeout
from router.onboarding.abilities import DOORS, request
from router.onboarding.findings import Identity, Speed

LONG_PROMPT_WORDS = 400  # about 500 tokens: enough for the reading to outweigh the request itself
CONTEXT_SHARE = 4  # a long prompt has at most a fourth of the context in words: rare words are several tokens
GENERATED = ("vllm:generation_tokens_total",)
CACHE_HITS = ("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total")  # newer and older servers
OTHERS = 1.2  # times our own tokens: more than what the two readings of the counter catch by themselves
BY_TIME = 0.5  # of the first time: what counts as cached where nothing is reported
WORDS = (
    *("river", "stone", "garden", "window", "letter", "morning", "bread", "silver", "winter", "music"),
    *("table", "forest", "paper", "road", "summer", "glass", "mountain", "lamp", "market", "coat"),
    *("bridge", "flower", "kitchen", "island", "story", "captain", "mirror", "basket", "harbour", "ticket"),
)


@dataclass(frozen=True, slots=True)
class Effort:
    """How much may be spent on the measurement."""

    in_flight: int = 4
    tokens: int = 96  # generated, of one request
    alone_s: float = 5.0
    together_s: float = 7.0
    prompt_s: float = 5.0  # each of two


class SpeedTest:
    """Measures one after the other; `found` grows, `notes` says what could not be measured."""

    def __init__(
        self, probe: Probe, identity: Identity, api: str, effort: Effort, rng: random.Random
    ) -> None:
        self.probe = probe
        self.identity = identity
        self.api = api
        self.effort = effort
        self.rng = rng
        self.found: dict[str, Any] = {}
        self.notes: list[str] = []
        self._extra: Mapping[str, Any] | None = None  # the stream's options that this server takes

    async def run(self, say: Callable[[str], None]) -> Speed:
        """Everything that there is time for."""
        for what, part in (
            ("speed of one request", self._alone),
            (f"speed of {self.effort.in_flight} requests at once", self._together),
            ("prefix cache", self._prefix),
        ):
            say(what)
            try:
                await part()
            except BackendTimeout:
                self.notes.append(f"{what}: not measured: nothing came in the time there was")
            except BackendError as error:
                self.notes.append(f"{what}: not measured: {error}")
        return Speed(**self.found)

    async def _alone(self) -> None:
        heard = await self._generate(self.effort.alone_s)
        self.found["first_token_s"] = heard.first_s
        self.found["stream_usage"] = self._usage_seen(heard)
        if heard.tokens > 1 and heard.first_s is not None and (heard.last_s or 0.0) > heard.first_s:
            self.found["tokens_per_second"] = (heard.tokens - 1) / ((heard.last_s or 0.0) - heard.first_s)

    async def _together(self) -> None:
        what, many = f"speed of {self.effort.in_flight} requests at once", self.effort.in_flight
        before, started = await self._counter(*GENERATED), asyncio.get_running_loop().time()
        ended = await asyncio.gather(
            *(self._generate(self.effort.together_s) for _ in range(many)), return_exceptions=True
        )
        took_s = asyncio.get_running_loop().time() - started
        after = await self._counter(*GENERATED)
        heard = [one for one in ended if isinstance(one, Streamed)]
        for one in ended:
            if isinstance(one, BaseException) and not isinstance(one, BackendError):
                raise one
        if len(heard) < many:
            self.notes.append(f"{what}: {many - len(heard)} of them failed")
        own = sum(one.tokens for one in heard)
        everybody = own if before is None or after is None else after - before
        if everybody > OTHERS * own:
            self.notes.append(f"{what}: other callers were there; of {everybody:.0f} tokens {own} were ours")
        if own and took_s > 0:
            self.found["in_flight"] = many
            self.found["tokens_per_second_busy"] = max(own, everybody) / took_s

    async def _prefix(self) -> None:
        room = self.identity.context_tokens
        words = LONG_PROMPT_WORDS if room is None else min(LONG_PROMPT_WORDS, room // CONTEXT_SHARE)
        prompt = f"{self._words(words)}\nWhich of these words comes first?"
        before = await self._counter(*CACHE_HITS)
        first = await self._stream(prompt, self.effort.prompt_s, max_tokens=1)
        again = await self._stream(prompt, self.effort.prompt_s, max_tokens=1)
        after = await self._counter(*CACHE_HITS)
        read = first.usage.prompt_tokens if first.usage is not None else None
        if first.first_s is None or again.first_s is None:
            return
        if first.first_s > 0:
            self.found["prompt_tokens_per_second"] = (read or words) / first.first_s
            self.found["cached_time_share"] = min(1.0, again.first_s / first.first_s)
        details = again.usage.prompt_tokens_details if again.usage is not None else None
        cached = details.cached_tokens if details is not None else None
        if cached:
            self.found |= {"prefix_cache": True, "prefix_seen_by": "usage"}
        elif before is not None and after is not None:
            # other callers' hits count too: half of the prompt is more than a chat template's
            self.found |= {"prefix_cache": after - before >= (read or words) / 2, "prefix_seen_by": "metrics"}
        elif cached is not None:
            self.found |= {"prefix_cache": False, "prefix_seen_by": "usage"}
        else:
            faster = again.first_s < BY_TIME * first.first_s
            self.found |= {"prefix_cache": faster, "prefix_seen_by": "time"}

    async def _generate(self, within_s: float) -> Streamed:
        """A story as long as it may be; its prompt is a new one each time, so that no cache helps."""
        prompt = f"Write a long story about these words, in order: {self._words(8)}."
        return await self._stream(prompt, within_s, max_tokens=self.effort.tokens, temperature=0.7)

    async def _stream(self, prompt: str, within_s: float, **more: Any) -> Streamed:
        """One stream with the options that the server takes; which these are is found out by the first."""
        body = request(self.api, self.identity.model, prompt, **more)
        path = DOORS[self.api]
        tried = self._options(more["max_tokens"]) if self._extra is None else [self._extra]
        for place, extra in enumerate(tried):
            wanted = dict(extra)
            if "min_tokens" in wanted:
                wanted["min_tokens"] = more["max_tokens"]
            try:
                heard = await self.probe.stream(path, body | wanted | {"stream": True}, within_s)
            except BackendRefused:
                if place + 1 == len(tried):
                    raise
                continue
            self._extra = extra
            return heard
        raise AssertionError("there is always something to try")

    def _options(self, tokens: int) -> list[dict[str, Any]]:
        """From what vLLM takes to what every server takes."""
        options: list[dict[str, Any]] = [
            {} if usage is None else {"stream_options": usage} for usage in reversed(STREAM_OPTIONS)
        ]
        return [options[0] | {"min_tokens": tokens}, *options] if self.identity.vllm else options

    def _usage_seen(self, heard: Streamed) -> bool | None:
        if heard.usage is not None:
            return True
        return False if heard.whole else None  # it comes at the end, where nobody waited for it

    async def _counter(self, *names: str) -> float | None:
        """A counter of its metrics, over all engines; None where there is none of these names."""
        if not self.identity.metrics:
            return None
        try:
            said = await self.probe.get("/metrics", self.effort.prompt_s)
        except BackendError:
            return None
        counts = []
        for line in said.body.decode("utf-8", "replace").splitlines():
            if line.startswith(names):
                try:
                    counts.append(float(line.rsplit(" ", 1)[-1]))
                except ValueError:
                    continue
        return sum(counts) if counts else None

    def _words(self, count: int) -> str:
        return " ".join(self.rng.choice(WORDS) for _ in range(count))
