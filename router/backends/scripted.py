"""Says what it was told to: texts in order, repeated, and faults at will. For tests and examples.

Sample n of every call is `script[n % len(script)]`. Faults: "!timeout", "!unavailable", "!garbled" and "!refused"
raise when that sample's turn comes; "!hang" never finishes and keeps its place in flight until it is cut. A token is
a word with the white space before it.

When it fails: a real server's samples finish in any order; here those that do not hang finish in order of starting.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from predictors.observation import Sample
from router.backends import Call, Capabilities
from router.backends.openai_body import prompt_tokens_estimate
from router.config import BackendConfig
from router.domain.events import Delta
from router.domain.usage import Meter, Usage
from router.errors import BackendError, BackendGarbled, BackendRefused, BackendTimeout, BackendUnavailable

FAULTS: dict[str, type[BackendError]] = {
    "!timeout": BackendTimeout,
    "!unavailable": BackendUnavailable,
    "!garbled": BackendGarbled,
    "!refused": BackendRefused,
}
HANG = "!hang"
TOKEN = re.compile(r"\s*\S+|\s+\Z")
LOGPROB = -0.5  # nats, of every token
KEPT = 1000  # calls, for tests to look at


class Scripted:
    """Passes every capability, waits for nothing but "!hang". `calls` and `in_flight` are for tests to look at."""

    def __init__(self, name: str = "scripted", config: BackendConfig | None = None) -> None:
        self.name = name
        self.config = config or BackendConfig(kind="scripted")
        self.capabilities = Capabilities(
            tools=True,
            images=True,
            response_format=True,
            logprobs=True,
            context_tokens=self.config.context_tokens,
            extra=frozenset(self.config.extra_allowed),
        )
        self.calls: list[Call] = []  # the newest
        self.in_flight: set[str] = set()  # sample ids

    async def sample(self, call: Call, meter: Meter) -> AsyncGenerator[Sample | Delta, None]:
        """See `Backend.sample`."""
        self.calls.append(call)
        del self.calls[:-KEPT]
        hanging: set[str] = set()
        try:
            for number in range(call.max_samples):
                self._let_go(call, meter, hanging, call.pruned)
                if len(hanging) == call.width:
                    await asyncio.Event().wait()
                text = self.config.script[number % len(self.config.script)]
                if text in FAULTS:
                    raise FAULTS[text](
                        f"{self.name}: scripted fault {text!r} at sample {call.stage}.{number}"
                    )
                if text == HANG:
                    hanging.add(f"{call.stage}.{number}")
                    self.in_flight |= hanging
                    continue
                async with aclosing(self._told(call, meter, number, text)) as events:
                    async for event in events:
                        yield event
            self._let_go(call, meter, hanging, call.pruned)
            if hanging:
                await asyncio.Event().wait()
        finally:
            self._let_go(call, meter, hanging, set(hanging))

    async def close(self) -> None:
        """Nothing to release."""

    async def _told(
        self, call: Call, meter: Meter, number: int, text: str
    ) -> AsyncGenerator[Sample | Delta, None]:
        """One sample, word by word; booked when it ends, however it ends."""
        sample_id = f"{call.stage}.{number}"
        tokens = TOKEN.findall(text)
        limit = call.sampling.max_tokens
        kept = tokens if limit is None else tokens[:limit]
        whole = Sample(
            sample_id=sample_id,
            backend=self.name,
            text="".join(kept),
            stage=call.stage,
            index=number,
            finish_reason="stop" if len(kept) == len(tokens) else "length",
            tokens_in=prompt_tokens_estimate(call),
            tokens_out=len(kept),
            mean_logprob=LOGPROB if call.logprobs else None,
            first_entropy=-LOGPROB if call.logprobs else None,
            first_token_s=0.0,
            latency_s=0.0,
        )
        told = 0
        self.in_flight.add(sample_id)
        try:
            for told, token in enumerate(kept, start=1):
                if call.stream:
                    yield Delta(sample_id, token, backend=self.name)
                if call.growing and told < len(kept):
                    text = "".join(kept[:told])
                    yield replace(
                        whole,
                        text=text,
                        finished=False,
                        finish_reason="",
                        tokens_out=told,
                        prefix_tokens=told,
                    )
                if sample_id in call.pruned:
                    return
        finally:
            meter.add(self.name, Usage(whole.tokens_in, tokens_out=told, samples=1))
            self.in_flight.discard(sample_id)
        yield whole

    def _let_go(self, call: Call, meter: Meter, hanging: set[str], pruned: set[str]) -> None:
        """Cut the hanging samples that were pruned: their prompts were read, nothing was written."""
        for sample_id in hanging & pruned:
            meter.add(self.name, Usage(prompt_tokens_estimate(call), samples=1))
            hanging.discard(sample_id)
            self.in_flight.discard(sample_id)
