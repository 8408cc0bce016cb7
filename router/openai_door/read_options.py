"""How a query is to be sampled, what it may cost, and how it is handled: what both kinds of requests say."""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

from predictors.observation import Constraints, OnUnavailable, Preferences, Sampling
from router.checks.fields import one_of, seconds_above_zero
from router.domain.decision import Keep, Mode
from router.domain.options import Options
from router.errors import InvalidQuery
from router.openai_door.request_types import (
    ChatAsked,
    ConstraintsAsked,
    GenerationAsked,
    PreferencesAsked,
    RouterAsked,
)

Word = TypeVar("Word", bound=Enum)


def read_sampling(asked: GenerationAsked, logprobs: int | None) -> Sampling:
    """The parameters; `logprobs` is how many alternatives per token are wanted."""
    stop = (asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ())
    return Sampling(
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        min_p=asked.min_p,
        seed=asked.seed,
        max_tokens=_max_tokens(asked),
        thinking_tokens=asked.thinking_token_budget if isinstance(asked, ChatAsked) else None,
        stop=stop,
        logit_bias=asked.logit_bias or {},
        presence_penalty=asked.presence_penalty,
        frequency_penalty=asked.frequency_penalty,
        repetition_penalty=asked.repetition_penalty,
        logprobs=logprobs,
    )


def read_constraints(ours: RouterAsked) -> Constraints:
    """What the caller will not accept."""
    sent = ours.constraints or ConstraintsAsked()
    plan, again = ours.plan or "", sent.plan or ""
    if plan and again and plan != again:
        raise InvalidQuery(
            "router.plan", f"{plan!r}, but router.constraints.plan is {again!r}", "one of both"
        )
    wanted = _word("router.constraints.on_unavailable", sent.on_unavailable, OnUnavailable)
    return Constraints(
        max_cost_micros=sent.max_cost_micros,
        max_ttft_s=sent.max_ttft_s,
        min_quality=sent.min_quality,
        max_risk=sent.max_risk,
        allowed_backends=tuple(sent.allowed_backends or ()),
        denied_backends=tuple(sent.denied_backends or ()),
        plan=plan or again,
        on_unavailable=wanted or OnUnavailable.DEGRADE,
    )


def read_preferences(sent: PreferencesAsked) -> Preferences:
    """How much the caller minds cost and latency."""
    return Preferences(
        cost_weight=1.0 if sent.cost_weight is None else sent.cost_weight,
        latency_weight=1.0 if sent.latency_weight is None else sent.latency_weight,
    )


def read_options(ours: RouterAsked, *, stream: bool) -> Options:
    """How the query is to be handled."""
    if ours.timeout_s is not None:
        seconds_above_zero("router.timeout_s", ours.timeout_s)
    explore = one_of("router.explore", "word", ours.explore or "allow", ("allow", "forbid"))
    return Options(
        mode=_word("router.mode", ours.mode, Mode),
        explore=explore == "allow",
        keep=_word("router.log", ours.log, Keep),
        stream=stream,
        time_left_s=ours.timeout_s,
    )


def _max_tokens(asked: GenerationAsked) -> int | None:
    if not isinstance(asked, ChatAsked) or asked.max_completion_tokens is None:
        return asked.max_tokens
    most = asked.max_completion_tokens
    if asked.max_tokens not in (None, most):
        raise InvalidQuery(
            "max_completion_tokens", f"{most}, but max_tokens is {asked.max_tokens}", "one of both"
        )
    return most


def _word(field: str, sent: str | None, words: type[Word]) -> Word | None:
    """The member of `words` that is spelled `sent`; None where nothing was sent."""
    if sent is None:
        return None
    return words(one_of(field, "word", sent, [word.value for word in words]))
