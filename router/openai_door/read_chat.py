"""A request's body as a `Query` and `Options`: types here, ranges in `router.checks.queries`, as for every door."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

import msgspec

from predictors.observation import Constraints, OnUnavailable, Preferences, Query, Sampling
from router.checks.fields import SHOWN_CHARS, choices, one_of, seconds_above_zero
from router.checks.queries import DEFAULT_TENANT, Known, check_query
from router.domain.decision import Keep, Mode
from router.domain.options import Options
from router.errors import InvalidQuery
from router.idempotency import digest_of
from router.openai_door import asked as shapes
from router.openai_door.asked import ChatAsked, ConstraintsAsked, PreferencesAsked, RouterAsked
from router.openai_door.keys import sort_out
from router.openai_door.models import Models
from router.openai_door.names import as_asked
from router.openai_door.read_messages import read_messages, read_tool_choice, read_tools

Word = TypeVar("Word", bound=Enum)

_WHERE = re.compile(r"(?P<problem>.*?)(?: - at (?:key in )?`\$\.?(?P<field>.*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
# The last name of a place, and what may stand there.
_SHAPES: Mapping[str, type[msgspec.Struct]] = {
    "messages": shapes.TurnAsked,
    "content": shapes.PartAsked,
    "image_url": shapes.ImageAsked,
    "tool_calls": shapes.CallAsked,
    "tools": shapes.ToolAsked,
    "tool_choice": shapes.ToolForced,
    "stream_options": shapes.StreamOptions,
    "router": RouterAsked,
    "constraints": ConstraintsAsked,
    "preferences": PreferencesAsked,
}


@dataclass(frozen=True, slots=True)
class Chat:
    """A request, checked, and what its reply should have."""

    query: Query
    options: Options
    digest: bytes  # of the body
    named: bool  # the caller gave the request its id: it is worked off once
    include_usage: bool  # in a stream
    return_samples: bool
    return_reasoning: bool
    return_probabilities: bool


def read_chat(body: bytes, request_id: str, models: Models, known: Known, new_id: Callable[[], str]) -> Chat:
    """The request of `body`; `request_id` is what its headers call it, "" if nothing.

    Raises `InvalidQuery`, whose field is named as in the request, and `UnknownName` for the model.
    """
    sent = _object(body)
    extra = sort_out(sent, known.extra)
    chat = _typed(sent)
    ours = chat.router or RouterAsked()
    stream = chat.stream or False
    if chat.stream_options is not None and not stream:
        raise InvalidQuery("stream_options", "is set, but the reply is no stream", "only with stream: true")
    name = ours.request_id or request_id
    query = Query(
        request_id=name or new_id(),
        messages=read_messages(chat.messages),
        tenant=ours.tenant or DEFAULT_TENANT,
        session_id=ours.session_id or "",
        tools=read_tools(chat.tools or ()),
        tool_choice=read_tool_choice(chat.tool_choice),
        response_format=_response_format(chat.response_format),
        sampling=_sampling(chat),
        answers=1 if chat.n is None else chat.n,
        task_hint=ours.task_hint or "",
        verifier=ours.verifier or "",
        constraints=models.wanted(chat.model, _constraints(ours)),
        preferences=_preferences(ours.preferences or PreferencesAsked()),
        features=ours.features or {},
        priority=ours.priority or 0,
        metadata={**({"user": chat.user} if chat.user else {}), **(chat.metadata or {})},
        extra=extra,
    )
    try:
        check_query(query, known)
    except InvalidQuery as error:
        raise as_asked(error, sent) from error
    return Chat(
        query=query,
        options=_options(ours, stream=stream),
        digest=digest_of(body),
        named=bool(name),
        include_usage=bool(chat.stream_options and chat.stream_options.include_usage),
        return_samples=ours.return_samples or False,
        return_reasoning=ours.return_reasoning or False,
        return_probabilities=ours.return_probabilities or False,
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        sent = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise InvalidQuery("body", f"not JSON: {str(error)[:SHOWN_CHARS]}", "a JSON object") from error
    if not isinstance(sent, dict):
        raise InvalidQuery("body", f"JSON, but a {type(sent).__name__}", "a JSON object")
    return sent


def _typed(sent: Mapping[str, Any]) -> ChatAsked:
    try:
        return msgspec.convert(sent, ChatAsked)
    except msgspec.ValidationError as error:
        found = _WHERE.fullmatch(str(error))
        field, problem = (found["field"] or "", found["problem"]) if found else ("", str(error))
        unknown = _UNKNOWN.fullmatch(problem)
        if unknown is None:
            raise InvalidQuery(field or "body", problem) from error
        shape = _SHAPES.get(re.split(r"[.\[]", re.sub(r"\[[^\]]*\]$", "", field))[-1])
        allowed = choices(shape.__struct_fields__) if shape else ""
        raise InvalidQuery(f"{field}.{unknown[1][:SHOWN_CHARS]}", "is not known here", allowed) from error


def _response_format(sent: dict[str, Any] | None) -> str:
    if sent is None or sent == {"type": "text"}:
        return ""  # every backend gives text
    return msgspec.json.encode(sent).decode()


def _sampling(chat: ChatAsked) -> Sampling:
    max_tokens = chat.max_completion_tokens
    if max_tokens is None:
        max_tokens = chat.max_tokens
    elif chat.max_tokens not in (None, max_tokens):
        raise InvalidQuery(
            "max_completion_tokens", f"{max_tokens}, but max_tokens is {chat.max_tokens}", "one of both"
        )
    stop = (chat.stop,) if isinstance(chat.stop, str) else tuple(chat.stop or ())
    return Sampling(
        temperature=chat.temperature,
        top_p=chat.top_p,
        top_k=chat.top_k,
        min_p=chat.min_p,
        seed=chat.seed,
        max_tokens=max_tokens,
        thinking_tokens=chat.thinking_token_budget,
        stop=stop,
        logit_bias=chat.logit_bias or {},
        presence_penalty=chat.presence_penalty,
        frequency_penalty=chat.frequency_penalty,
        repetition_penalty=chat.repetition_penalty,
    )


def _constraints(ours: RouterAsked) -> Constraints:
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


def _preferences(sent: PreferencesAsked) -> Preferences:
    return Preferences(
        cost_weight=1.0 if sent.cost_weight is None else sent.cost_weight,
        latency_weight=1.0 if sent.latency_weight is None else sent.latency_weight,
    )


def _options(ours: RouterAsked, *, stream: bool) -> Options:
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


def _word(field: str, sent: str | None, words: type[Word]) -> Word | None:
    """The member of `words` that is spelled `sent`; None where nothing was sent."""
    if sent is None:
        return None
    return words(one_of(field, "word", sent, [word.value for word in words]))
