"""Where there is no answer, clients find a choice that says so, whole and streamed, in both words."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from openai.types import Completion as OpenAITextCompletion
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from router.checks.queries import Known
from router.domain.decision import Decision, Mode, Status
from router.domain.events import Done
from router.openai_door.chunks import Chunks, Shown
from router.openai_door.models import Models
from router.openai_door.read_chat import Chat, read_chat
from router.openai_door.reply import completion
from router.openai_door.text_reply import as_text

WHY = "abstained: no plan is expected to reach min_quality = 0.9; the best 0.412"


@pytest.fixture
def chat() -> Chat:
    body = {"model": "auto", "messages": [{"role": "user", "content": "hi"}]}
    known = Known(frozenset(), frozenset())
    return read_chat(json.dumps(body).encode(), "", Models((), ()), known, lambda: "r1")


@pytest.fixture
def nothing() -> Done:
    row = Decision(
        decision_id="d1",
        request_id="r1",
        replica="here",
        sequence=1,
        created_at=1.0,
        tenant="default",
        session_id="",
        mode=Mode.APPLY,
        policy="utility",
        bundle="7",
        price=0.0,
        plan="one",
        digest="d",
        propensity=1.0,
        probabilities={"one": 1.0},
        digests={"one": "d"},
        explored=False,
        usable=True,
        status=Status.ABSTAINED,
        stop_reason=WHY,
    )
    return Done(row, (), ())


def test_a_whole_reply_has_one_empty_choice_that_refuses(chat, nothing):
    reply = ChatCompletion.model_validate_json(msgspec.json.encode(completion(nothing, chat, 5)))
    (choice,) = reply.choices
    assert (choice.message.content, choice.message.refusal, choice.finish_reason) == ("", WHY, "stop")
    assert reply.usage is not None
    assert (reply.usage.total_tokens, reply.model_extra and reply.model_extra["router"]["status"]) == (
        0,
        "abstained",
    )


def test_a_stream_says_the_same(chat, nothing):
    reply = completion(nothing, chat, 5)
    chunks = Chunks(reply.id, 5, "one", include_usage=False)
    events = [event.removeprefix(b"data: ") for event in (chunks.role(), *chunks.rest(reply, Shown()))]
    assert events[-1] == b"[DONE]\n\n"
    told = [ChatCompletionChunk.model_validate_json(event).choices[0] for event in events[:-1]]
    assert [piece.delta.refusal for piece in told] == [None, WHY, None]
    assert (told[0].delta.content, told[-1].finish_reason) == ("", "stop")


def test_a_completion_is_empty(chat, nothing):
    reply = OpenAITextCompletion.model_validate_json(
        msgspec.json.encode(as_text(completion(nothing, chat, 5)))
    )
    assert (reply.choices[0].text, reply.choices[0].finish_reason) == ("", "stop")


def test_the_words_are_what_the_decision_says(chat, nothing):
    told: Any = msgspec.to_builtins(completion(nothing, chat, 5).router)
    assert (told["stop_reason"], told["bundle"]) == (WHY, "7")
