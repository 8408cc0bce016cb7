"""What real histories hold besides texts of one piece: models that said nothing, blank instructions, texts in pieces."""

from __future__ import annotations

from typing import Any

import pytest

ASKED = {"role": "user", "content": "2 + 2?"}


def texts(*pieces: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": piece} for piece in pieces]


@pytest.mark.parametrize("role", ["assistant", "system", "developer"])
@pytest.mark.parametrize("content", ["", " \n", texts("")])
async def test_a_turn_that_is_not_the_users_may_be_blank(house, role: str, content: Any):
    """As our own replies are, where a model says nothing: they come back in the next request."""
    house.gated.gate.set()
    body = {"model": "gated", "messages": [ASKED, {"role": role, "content": content}, ASKED]}
    assert (await house.post(body)).status == 200
    (call,) = house.gated.calls
    assert [message.text.strip() for message in call.query.messages] == ["2 + 2?", "", "2 + 2?"]


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([ASKED, {"role": "user", "content": " "}], "messages[1].content"),
        ([ASKED, {"role": "assistant", "content": None}], "messages[1].content"),
        ([{"role": "system", "content": ""}, {"role": "assistant", "content": " "}], "messages"),
    ],
)
async def test_where_nobody_says_anything_there_is_nothing_to_answer(house, messages: Any, param: str):
    response = await house.post({"model": "story", "messages": messages})
    assert response.status == 400
    assert (await response.json())["error"]["param"] == param


NOW = {"name": "now", "arguments": "{}"}
CALL = {"id": "c1", "type": "function", "function": NOW}


@pytest.mark.parametrize(
    "kept",
    [
        {"content": '{"a": 1}', "parsed": {"a": 1}, "annotations": None, "audio": None, "tool_calls": None},
        {"content": "4", "provider_specific_fields": {"refusal": None}, "thinking_blocks": None},
        {
            "content": None,
            "parsed": None,
            "tool_calls": [{**CALL, "index": 0, "function": {**NOW, "parsed_arguments": {}}}],
        },
        {"content": None, "tool_calls": [{**CALL, "provider_specific_fields": {}}], "function_call": None},
        {"content": [{"type": "text", "text": "4", "cache_control": {"type": "ephemeral"}}]},
        {"content": "4", "cache_control": {"type": "ephemeral"}},
    ],
    ids=["openai parse", "litellm", "openai parsed call", "litellm call", "part to cache", "turn to cache"],
)
async def test_what_clients_note_beside_a_reply_comes_back_and_says_nothing(house, kept: Any):
    house.gated.gate.set()
    turns = [ASKED, {"role": "assistant", **kept}]
    answered = [{"role": "tool", "tool_call_id": "c1", "content": "noon"}] if kept.get("tool_calls") else []
    response = await house.post({"model": "gated", "messages": [*turns, *answered, ASKED]})
    assert response.status == 200, await response.text()
    turn = house.gated.calls[0].query.messages[1]
    assert (turn.text, len(turn.tool_calls)) in [('{"a": 1}', 0), ("4", 0), ("", 1)]
    assert [call.arguments for call in turn.tool_calls] == ["{}"] * len(turn.tool_calls)


async def test_texts_in_pieces_stay_apart(house):
    house.gated.gate.set()
    body = {"model": "gated", "messages": [{"role": "user", "content": texts("Translate:", "one", "two")}]}
    assert (await house.post(body)).status == 200
    assert house.gated.calls[0].query.text == "Translate:\none\ntwo"
