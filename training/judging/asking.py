"""Ask a judge many comparisons side by side: through any backend, with retries, each answer kept as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from predictors.observation import Message, Part, Query, Sample, Sampling
from router.answering.pairwise import SYSTEM, preferred, question
from router.assemble_parts import build_backends
from router.backends import Backend, Call
from router.backends.vllm import VLLM
from router.config import BackendConfig
from router.configuration.file import load
from router.domain.plan import Prompt
from router.domain.usage import Meter
from router.errors import BackendGarbled, BackendRefused, BackendTimeout, BackendUnavailable, UnknownName
from router.verifiers.judge import Judge
from training.errors import TrainingError
from training.judging.cache import Comparison, JudgeCache, Verdict

TRIES, FIRST_PAUSE_S = 6, 0.5  # doubling: some 15 s until a judge that is away ends the grading
TRANSIENT = (BackendGarbled, BackendTimeout, BackendUnavailable)


@dataclass(slots=True)
class Asked:
    """What happened in one run."""

    questions: int = 0  # answered in this run
    kept: int = 0  # answered by an earlier one
    refused: int = 0  # the server calls the question invalid: too long for it, as a rule
    unclear: int = 0  # of the answers, also those of earlier runs
    tokens_in: int = 0  # of all answers, also those of earlier runs
    tokens_out: int = 0
    last_refusal: str = ""

    def count(self, verdict: Verdict) -> None:
        """Add up one answer."""
        self.unclear += verdict.said is None
        self.tokens_in += verdict.tokens_in
        self.tokens_out += verdict.tokens_out


def judge_backend(judge: Judge) -> tuple[Backend, str]:
    """The backend that is asked and its model's name. Raises `TrainingError`, `ConfigError` or `UnknownName`."""
    if judge.backend:
        path = Path(judge.config)
        config = load(path)
        if judge.backend not in config.backends:
            raise UnknownName("backend", judge.backend, tuple(config.backends))
        section = config.backends[judge.backend]
        only = replace(config, backends={judge.backend: section})
        return build_backends(only, path.parent)[judge.backend], section.model or judge.backend
    if not judge.url or not judge.model:
        raise TrainingError(
            'judge: say { kind = "judge", url = "http://HOST:PORT", model = "…" }, or backend = "…" of router.toml'
        )
    section = BackendConfig(
        urls=(judge.url.rstrip("/").removesuffix("/v1"),),
        model=judge.model,
        api_key_env=judge.api_key_env,
        timeout_s=judge.timeout_s,
        first_token_timeout_s=judge.timeout_s,
    )
    return VLLM("judge", section), judge.model


async def ask_all(
    comparisons: Iterable[Comparison],
    backend: Backend,
    cache: JudgeCache,
    *,
    max_tokens: int,
    concurrency: int,
    asked: Asked,
    on_answer: Callable[[], object] = lambda: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Put into the cache what is not there. A comparison that the server refuses stays out and is counted.

    Raises the backend's error where the last try failed; what was answered before is kept.
    """
    distinct = list(dict.fromkeys(comparisons))
    waiting: list[Comparison] = []
    for comparison in distinct:
        known = cache.get(comparison)
        if known is None:
            waiting.append(comparison)
        else:
            asked.kept += 1
            asked.count(known)
            on_answer()

    async def work(mine: Iterator[Comparison]) -> None:
        for comparison in mine:
            try:
                verdict = await _patiently(comparison, backend, max_tokens, sleep)
            except BackendRefused as error:
                asked.refused += 1
                asked.last_refusal = str(error)
            else:
                cache.add(comparison, verdict)
                asked.questions += 1
                asked.count(verdict)
            on_answer()

    shared = iter(waiting)
    tasks = [asyncio.ensure_future(work(shared)) for _ in range(min(concurrency, len(waiting)))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _patiently(
    comparison: Comparison,
    backend: Backend,
    max_tokens: int,
    sleep: Callable[[float], Awaitable[None]],
) -> Verdict:
    for attempt in range(TRIES - 1):
        try:
            return await _once(comparison, backend, max_tokens)
        except TRANSIENT:
            await sleep(FIRST_PAUSE_S * 2**attempt)
    return await _once(comparison, backend, max_tokens)


async def _once(comparison: Comparison, backend: Backend, max_tokens: int) -> Verdict:
    text = question(comparison.query, comparison.first, comparison.second)
    call = Call(
        query=Query("judge", (Message("user", (Part(text=text),)),)),
        stage=0,
        sampling=Sampling(temperature=0.0, max_tokens=max_tokens),
        prompt=Prompt("judge", system=SYSTEM),
        max_samples=1,
        width=1,
        seed=0,
    )
    meter, reply = Meter(), ""
    async with aclosing(backend.sample(call, meter)) as events:  # type: ignore[type-var]  # all are generators
        async for event in events:
            if isinstance(event, Sample) and event.finished:
                reply = event.text
    used = list(meter.by_backend.values())
    return Verdict(preferred(reply), sum(u.tokens_in for u in used), sum(u.tokens_out for u in used))
