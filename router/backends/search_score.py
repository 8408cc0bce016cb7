"""How good is a text so far? By its own log-probabilities, by the large model as a judge, or by a reward model.

A score is in [0, 1]; None: nobody says. What is asked is booked on who answered.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from math import exp
from typing import Any, Protocol

import aiohttp

from predictors.observation import Message, Part, Sample
from router.backends import Backend
from router.backends.composed import Work
from router.backends.openai_body import prompt_tokens_estimate, wire_message
from router.backends.openai_errors import of_status, translated
from router.backends.openai_session import open_session
from router.backends.prompting import with_prompt
from router.backends.step_judge import asked_for_a_digit, expected_digit
from router.config import BackendConfig
from router.domain.usage import Usage
from router.errors import BackendGarbled, BackendUnavailable

LARGEST = 8 * 1024 * 1024  # bytes of a reward model's answer
# what comes of reading an answer that is something else
GARBLED = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError)


class Scorer(Protocol):
    """One way to score."""

    asks: bool  # the large member
    whole: bool  # the score is about the whole text, not about its last step

    async def score(self, work: Work, large: Backend | None, pieces: Sequence[Sample]) -> float | None:
        """Of the text that the pieces make, its last step the last of them. Raises `BackendError`."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


class PathProbability:
    """exp(mean log-probability of its tokens): free, and blind to what is said with confidence and wrong."""

    asks, whole = False, True

    async def score(self, work: Work, large: Backend | None, pieces: Sequence[Sample]) -> float | None:
        """See `Scorer.score`."""
        known = [one for one in pieces if one.mean_logprob is not None and one.tokens_out]
        tokens = sum(one.tokens_out for one in known)
        total = sum((one.mean_logprob or 0.0) * one.tokens_out for one in known)
        return exp(min(0.0, total / tokens)) if tokens else None

    async def close(self) -> None:
        """Nothing to release."""


class StepJudge:
    """The large model's digit for the last step, 0 to 9, expected over its alternatives: one token on its prefix."""

    asks, whole = True, False

    async def score(self, work: Work, large: Backend | None, pieces: Sequence[Sample]) -> float | None:
        """See `Scorer.score`."""
        if large is None:
            return None
        text = "".join(piece.text for piece in pieces)
        digit = expected_digit(await asked_for_a_digit(work, large, text))
        return None if digit is None else digit / 9

    async def close(self) -> None:
        """Nothing to release: it is a backend of its own."""


class RewardModel:
    """The large member is a reward model behind vLLM's `/pooling` (`--runner pooling`), which reads question and text.

    The last number of its answer counts: of a process reward model, which gives chances for every step, the last
    chance; of one with a single number its logistic. `reward_mark` is put behind every step where the model wants it.
    """

    asks, whole = True, True

    def __init__(self, mark: str = "", environ: Mapping[str, str] = os.environ) -> None:
        self._mark, self._environ = mark, environ
        self._session: aiohttp.ClientSession | None = None

    async def score(self, work: Work, large: Backend | None, pieces: Sequence[Sample]) -> float | None:
        """See `Scorer.score`."""
        config: BackendConfig | None = getattr(large, "config", None)
        if large is None or config is None or not config.urls:
            raise BackendUnavailable(f"{work.name}: a reward model is a vllm backend with urls")
        if self._session is None:
            self._session = open_session(large.name, config, self._environ)
        written = "".join(f"{piece.text}{self._mark}" for piece in pieces)
        call, answer = work.call, Message("assistant", (Part(text=written),))
        messages = (*with_prompt(call.query.messages, call.prompt), answer)
        body = {
            "model": config.model,
            "messages": [wire_message(message) for message in messages],
            "add_generation_prompt": False,
            "continue_final_message": True,
        }
        left_s, began = work.left_s, work.clock()
        longest = config.timeout_s if left_s is None else min(config.timeout_s, left_s)
        tokens = prompt_tokens_estimate(call) + sum(piece.tokens_out for piece in pieces)
        try:
            said = await self._posted(f"{large.name} at {config.urls[0]}", config.urls[0], body, longest)
            tokens = int(said.get("usage", {}).get("prompt_tokens", tokens))
            return last_reward(said)
        except GARBLED as error:
            raise BackendGarbled(
                f"{large.name}: {config.urls[0]}/pooling: no reward in its answer"
            ) from error
        finally:
            work.calls += 1
            work.tokens_in += tokens
            gpu_seconds = config.gpu_share * (work.clock() - began)
            work.meter.add(large.name, Usage(max(0, tokens), side_calls=1, gpu_seconds=gpu_seconds))

    async def close(self) -> None:
        """Its connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _posted(self, who: str, url: str, body: Mapping[str, Any], longest_s: float) -> Any:
        assert self._session is not None  # noqa: S101 (for the type checker: `score` opens it)
        with translated(who, f"reward within {longest_s:g} s"):
            async with asyncio.timeout(longest_s):
                place = url.rstrip("/") + "/pooling"
                async with self._session.post(place, json=body, allow_redirects=False) as response:
                    if response.status != 200:
                        raise of_status(who, response.status, response.content_type, await response.read())
                    said = bytearray()
                    async for piece in response.content.iter_any():
                        said += piece
                        if len(said) > LARGEST:
                            raise BackendGarbled(f"{who}: the answer is longer than {LARGEST} bytes")
                    return json.loads(said)


def last_reward(said: Any) -> float:
    """The score in an answer of `/pooling`.

    >>> last_reward({"data": [{"data": [[0.9, 0.1], [0.25, 0.75]]}]}), last_reward({"data": [{"data": [0.0]}]})
    (0.75, 0.5)
    """
    last = said["data"][0]["data"][-1]
    if isinstance(last, list):
        return min(1.0, max(0.0, float(last[-1])))
    return 1 / (1 + exp(-min(50.0, max(-50.0, float(last)))))


def scorer_of(kind: str, mark: str = "") -> Scorer:
    """By its name in the configuration."""
    if kind == "reward":
        return RewardModel(mark)
    return StepJudge() if kind == "judge" else PathProbability()
