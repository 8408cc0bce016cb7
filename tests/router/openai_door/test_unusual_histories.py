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


async def test_texts_in_pieces_stay_apart(house):
    house.gated.gate.set()
    body = {"model": "gated", "messages": [{"role": "user", "content": texts("Translate:", "one", "two")}]}
    assert (await house.post(body)).status == 200
    assert house.gated.calls[0].query.text == "Translate:\none\ntwo"
