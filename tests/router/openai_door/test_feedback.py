"""How an answer turned out, told at the door."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router.errors import InvalidQuery
from router.openai_door.feedback import read_feedback


async def report(house, **fields: Any) -> Any:
    """The reply to a report, by the official client's own request."""
    return await house.client.post("/feedback", cast_to=object, body=fields)


async def test_a_reply_is_judged_by_its_id(house):
    reply = await house.ask()
    told = await report(house, id=reply.id, metric="correct", value=True)
    (row,) = await house.rows()
    (outcome,) = await house.service.store.outcomes(row.decision_id)
    assert (outcome.metric, outcome.value, outcome.kind) == ("correct", True, "bool")
    assert told == {"object": "feedback", "key": outcome.key, "duplicate": False}


async def test_the_same_report_again_is_a_duplicate(house):
    reply = await house.ask()
    again = [await report(house, id=reply.id, metric="correct", value=1) for _ in range(2)]
    assert [told["duplicate"] for told in again] == [False, True]


async def test_feedback_is_taken_while_queries_are_shed(house):
    house.admission.max_queries = 0
    assert (await report(house, session_id="s", metric="kept", value=0.5))["duplicate"] is False


async def test_an_id_that_no_header_could_carry_is_encoded_in_the_reply(house):
    sent = {"decision_id": "a\r\nb", "metric": "m", "value": 1}
    response = await house.http.post(f"{house.url}/v1/feedback", json=sent)
    assert (response.status, response.headers["x-apportion-decision-id"]) == (200, "a%0D%0Ab")
    await response.read()


@pytest.mark.parametrize(
    ("fields", "kind", "value"),
    [
        ({"value": 0.25}, "number", 0.25),
        ({"value": 3}, "number", 3.0),
        ({"value": False}, "bool", False),
        ({"value": "nice"}, "comment", "nice"),
        ({"value": "spam", "kind": "label"}, "label", "spam"),
        ({"value": "It is 4.", "kind": "demonstration"}, "demonstration", "It is 4."),
    ],
)
def test_a_value_is_of_a_kind(fields: dict[str, Any], kind: str, value: Any):
    outcome = read(**fields)
    assert (outcome.kind, outcome.value, type(outcome.value)) == (kind, value, type(value))


def read(**fields: Any) -> Any:
    sent = {"decision_id": "d", "metric": "correct", **fields}
    return read_feedback(json.dumps(sent).encode(), lambda: "new", 7.0)


def test_everything_arrives():
    outcome = read(
        value=1,
        sample_id="0.1",
        source="human",
        weight=2,
        observed_at=5.5,
        key="k",
        supersedes="j",
        tenant="acme",
    )
    assert (outcome.outcome_id, outcome.decision_id, outcome.sample_id) == ("new", "d", "0.1")
    assert (outcome.source, outcome.weight, outcome.observed_at) == ("human", 2, 5.5)
    assert (outcome.key, outcome.supersedes, outcome.tenant) == ("k", "j", "acme")


def test_what_is_not_said_has_a_value():
    outcome = read(value=1)
    assert (outcome.observed_at, outcome.weight, outcome.tenant) == (7.0, 1.0, "default")
    assert len(outcome.key) == 32


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("id", {"value": 1, "decision_id": None}),
        ("id", {"value": 1, "request_id": "r"}),
        ("id", {"value": 1, "decision_id": None, "id": "d"}),
        ("metric", {"value": 1, "metric": "Not A Name"}),
        ("value", {"value": [1]}),
        ("value", {}),
        ("kind", {"value": "x", "kind": "number"}),
        ("kind", {"value": 1, "kind": "bool"}),
        ("weight", {"value": 1, "weight": 0}),
        ("observed_at", {"value": 1, "observed_at": -1}),
        ("label", {"value": "x" * 300, "kind": "label"}),
        ("mood", {"value": 1, "mood": "good"}),
    ],
)
def test_what_is_wrong_is_named(field: str, fields: dict[str, Any]):
    with pytest.raises(InvalidQuery) as caught:
        read(**fields)
    assert caught.value.field == field
