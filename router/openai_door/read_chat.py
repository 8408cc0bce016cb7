"""A chat or a prompt as a `Query` and `Options`: types here, ranges in `router.checks.queries`, as for every door."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from predictors.observation import Message, Part, Query
from router.admission.idempotency import digest_of
from router.checks.queries import DEFAULT_TENANT, NUMBERS, Known, check_query
from router.domain.options import Options
from router.errors import InvalidQuery
from router.openai_door.body import json_object, typed
from router.openai_door.keys import sort_out
from router.openai_door.models import Models
from router.openai_door.names import as_asked
from router.openai_door.read_messages import read_messages, read_tool_choice, read_tools
from router.openai_door.read_options import read_constraints, read_options, read_preferences, read_sampling
from router.openai_door.request_types import (
    ChatAsked,
    CompletionAsked,
    GenerationAsked,
    PreferencesAsked,
    RouterAsked,
)


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
    text: bool = False  # a prompt without turns, answered in the words of /v1/completions
    alternatives: int = 0  # per token, where `query.token_logprobs`


Reader = Callable[[bytes, str, Models, Known, Callable[[], str]], Chat]


def read_chat(body: bytes, request_id: str, models: Models, known: Known, new_id: Callable[[], str]) -> Chat:
    """The chat of `body`; `request_id` is what its headers call it, "" if nothing.

    Raises `InvalidQuery`, whose field is named as in the request, and `UnknownName` for the model.
    """
    sent = json_object(body)
    extra = sort_out(sent, ChatAsked.__struct_fields__, known.extra)
    chat = typed(sent, ChatAsked)
    if chat.top_logprobs and not chat.logprobs:  # none of them may be asked for always
        raise InvalidQuery("top_logprobs", "is set, but logprobs is not", "only with logprobs: true")
    return _checked(
        _Asking(
            sent, chat, request_id, body, alternatives=(chat.top_logprobs or 0) if chat.logprobs else None
        ),
        models,
        known,
        new_id,
        messages=read_messages(chat.messages),
        tools=read_tools(chat.tools or ()),
        tool_choice=read_tool_choice(chat.tool_choice),
        parallel_tool_calls=False
        if chat.parallel_tool_calls is False
        else None,  # true is what is done anyway
        response_format=_response_format(chat.response_format),
        metadata={**({"user": chat.user} if chat.user else {}), **(chat.metadata or {})},
        extra=extra,
    )


def read_prompt(
    body: bytes, request_id: str, models: Models, known: Known, new_id: Callable[[], str]
) -> Chat:
    """The prompt of `body`, as one user turn: plans, rules and budgets know no other. As `read_chat`."""
    sent = json_object(body)
    extra = sort_out(sent, CompletionAsked.__struct_fields__, known.extra)
    asked = typed(sent, CompletionAsked)
    prompts = [asked.prompt] if isinstance(asked.prompt, str) else asked.prompt
    if len(prompts) != 1:
        raise InvalidQuery("prompt", f"{len(prompts)} prompts", "one per request")
    return _checked(
        _Asking(sent, asked, request_id, body, alternatives=asked.logprobs, text=True),
        models,
        known,
        new_id,
        messages=(Message("user", (Part(text=prompts[0]),)),),
        metadata={"user": asked.user} if asked.user else {},
        extra=extra,
    )


@dataclass(frozen=True, slots=True)
class _Asking:
    sent: Mapping[str, Any]
    asked: GenerationAsked
    request_id: str
    body: bytes
    alternatives: int | None  # None: no log-probabilities
    text: bool = False


def _checked(one: _Asking, models: Models, known: Known, new_id: Callable[[], str], **fields: Any) -> Chat:
    asked, ours = one.asked, one.asked.router or RouterAsked()
    stream = asked.stream or False
    if asked.stream_options is not None and not stream:
        raise InvalidQuery("stream_options", "is set, but the reply is no stream", "only with stream: true")
    if one.alternatives is not None:
        NUMBERS["logprobs"].check("logprobs" if one.text else "top_logprobs", one.alternatives)
    name = ours.request_id or one.request_id
    constraints, preferences = models.wanted(
        asked.model, read_constraints(ours), read_preferences(ours.preferences or PreferencesAsked())
    )
    query = Query(
        request_id=name or new_id(),
        tenant=ours.tenant or DEFAULT_TENANT,
        session_id=ours.session_id or "",
        sampling=read_sampling(asked, one.alternatives),
        answers=1 if asked.n is None else asked.n,
        task_hint=ours.task_hint or "",
        verifier=ours.verifier or "",
        constraints=constraints,
        preferences=preferences,
        features=ours.features or {},
        priority=ours.priority or 0,
        token_logprobs=one.alternatives is not None,
        **fields,
    )
    try:
        check_query(query, known)
    except InvalidQuery as error:
        raise as_asked(error, one.sent, text=one.text) from error
    return Chat(
        query=query,
        options=read_options(ours, stream=stream),
        digest=digest_of(one.body),
        named=bool(name),
        include_usage=bool(asked.stream_options and asked.stream_options.include_usage),
        return_samples=ours.return_samples or False,
        return_reasoning=ours.return_reasoning or False,
        return_probabilities=ours.return_probabilities or False,
        text=one.text,
        alternatives=one.alternatives or 0,
    )


def _response_format(sent: dict[str, Any] | None) -> str:
    if sent is None or sent == {"type": "text"}:
        return ""  # every backend gives text
    return msgspec.json.encode(sent).decode()
