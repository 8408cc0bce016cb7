"""The Admin calls as JSON say what gRPC says."""

from __future__ import annotations

import json

import pytest

from router.serving.json_admin import SERVICE


@pytest.fixture
def told(house):
    return house.servers.json_admin


async def ask(told, name: str, body: object = None) -> tuple[int, dict]:
    status, reply = await told(name, b"" if body is None else json.dumps(body).encode())
    return status, json.loads(reply)


async def test_numbers_that_are_zero_are_there(told):
    status, reply = await ask(told, "GetStatus")
    assert (status, reply["decisions"], reply["draining"]) == (200, "0", False)


async def test_a_page_carries_forecasts_and_asked_for_outcomes(told, house):
    reply = await house.client.generate("2 + 2?")
    await house.client.report(reply.decision_id, "correct", True)
    _, page = await ask(told, "ListDecisions", {"page_size": 5, "with_outcomes": True})
    (row,) = page["decisions"]
    assert {one["plan"] for one in row["forecasts"]} >= {"story", "small"}
    assert [one["metric"] for one in row["outcomes"]] == ["correct"]
    _, page = await ask(told, "ListDecisions", {"page_size": 5})
    assert page["decisions"][0]["outcomes"] == []


async def test_a_mode_is_set(told, house):
    assert (await ask(told, "SetMode", {"mode": "MODE_BYPASS"}))[0] == 200
    assert (await house.admin.status()).mode.value == "bypass"


@pytest.mark.parametrize(
    ("name", "body", "status", "code", "words"),
    [
        ("Nothing", {}, 404, "NOT_FOUND", "GetStatus"),
        ("WatchDecisions", {}, 404, "NOT_FOUND", "GetStatus"),
        ("GetDecision", {"decision_id": "none"}, 404, "NOT_FOUND", "none"),
        ("GetDecision", {"no_such_key": 1}, 400, "INVALID_ARGUMENT", "no_such_key"),
        ("SetMode", {"mode": "LOUD"}, 400, "INVALID_ARGUMENT", "LOUD"),
        ("ListDecisions", {"page_size": 5000}, 400, "INVALID_ARGUMENT", "page_size"),
    ],
)
async def test_a_mistake_is_told_with_its_status(told, name, body, status, code, words):
    got, reply = await ask(told, name, body)
    assert (got, reply["code"]) == (status, code)
    assert words in reply["message"]


async def test_what_is_no_json_is_told(told):
    status, reply = await told("GetStatus", b"\xff{")
    assert status == 400
    assert json.loads(reply)["code"] == "INVALID_ARGUMENT"


async def test_every_unary_call_of_the_service_can_be_named(told):
    assert set(told.names) == {one.name for one in SERVICE.methods if not one.server_streaming}
