"""Whole replies and refusals of the door, over backends that do what the test says."""

from __future__ import annotations

from typing import Any

import aiohttp
import openai
import pytest

from router.errors import BackendRefused, NoPlan

STORY = "Once upon a time there was a fox"


async def test_a_reply_has_openais_shape_and_says_what_was_decided(house):
    response = await house.post()
    reply = await response.json()
    decision_id = response.headers["x-apportion-decision-id"]
    assert reply["object"] == "chat.completion"
    assert reply["id"] == f"chatcmpl-{decision_id}"
    assert reply["model"] == "story"
    assert reply["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": STORY, "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert reply["router"]["decision_id"] == decision_id
    assert (reply["router"]["plan"], reply["router"]["policy"]) == ("story", "forced")
    assert (reply["router"]["status"], reply["router"]["bundle"]) == ("answered", "")
    assert reply["router"]["degraded"] == ["no bundle: plans are chosen untrained"]


async def test_the_headers_of_a_reply_say_plan_cost_and_request(house):
    response = await house.post()
    (row,) = await house.rows()
    assert response.headers["x-apportion-plan"] == "story"
    assert row.cost > 0
    assert response.headers["x-apportion-cost-micros"] == str(round(row.cost))  # whole prices and tokens
    assert (await response.json())["router"]["cost"] == row.cost
    assert response.headers["x-request-id"] == "new-1"


async def test_usage_counts_the_tokens_of_all_samples(house):
    reply = await house.ask("vote")
    (row,) = await house.rows()
    (used,) = row.usage.values()
    assert used.samples == 2  # the first two agree
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (used.tokens_in, used.tokens_out)
    assert reply.usage.total_tokens == used.tokens_in + used.tokens_out
    assert (used.tokens_in, used.tokens_out) == (4, 2)  # of one sample: 2 and 1


async def test_auto_is_the_policys_choice(house):
    reply = await house.ask("auto")
    assert (reply.model, reply.model_extra["router"]["policy"]) == ("story", "untrained")


async def test_a_backends_name_leaves_the_plans_on_it_alone(house):
    reply = await house.ask("backend/small")
    (row,) = await house.rows()
    assert reply.model in {"small", "vote"}
    assert set(row.probabilities) <= {"small", "vote"}


async def test_samples_reasoning_and_probabilities_come_where_they_are_asked_for(house):
    told = (await house.ask("vote")).model_extra["router"]
    assert "samples" not in told
    assert "probabilities" not in told
    asked = {"router": {"return_samples": True, "return_probabilities": True}}
    told = (await house.ask("vote", extra_body=asked)).model_extra["router"]
    assert [sample["text"] for sample in told["samples"]] == ["4", "4"]
    assert told["probabilities"] == {"vote": 1.0}


async def test_a_failure_before_anything_is_a_status(house):
    with pytest.raises(openai.InternalServerError) as caught:
        await house.ask("broken", stream=False)
    error = caught.value
    assert (error.status_code, error.type, error.code) == (503, "server_error", "no_backend")
    (row,) = await house.rows()
    assert error.response.headers["x-apportion-decision-id"] == row.decision_id


async def test_a_request_that_the_backend_refuses_is_the_callers_mistake(house):
    with pytest.raises(openai.BadRequestError) as caught:
        await house.ask("refusing")
    assert caught.value.code == "backend_refused"


async def test_an_error_that_is_not_of_our_tree_tells_nothing_of_itself(house):
    house.gated.failure = ZeroDivisionError("secret")
    house.gated.gate.set()
    response = await house.post(model="gated")
    assert response.status == 500
    assert await response.json() == {
        "error": {
            "message": "the service failed; its log says how",
            "type": "server_error",
            "param": None,
            "code": "internal",
        }
    }


async def test_the_models_are_auto_the_plans_and_the_backends(house):
    names = [model.id async for model in house.client.models.list()]
    assert names == [
        *("auto", "auto:cost=0.3", "auto:risk=0.05"),
        *("small", "story", "broken", "refusing", "gated", "vote", "cascade"),
        *("backend/small", "backend/story", "backend/broken", "backend/refusing", "backend/gated"),
    ]
    for name in ("backend/small", "auto:cost=2,risk=0.01"):
        assert (await house.client.models.retrieve(name)).id == name
    with pytest.raises(openai.NotFoundError):
        await house.client.models.retrieve("gpt-4o")


@pytest.mark.parametrize(
    ("method", "path", "status", "piece"),
    [
        ("POST", "/v1/responses", 404, "ask POST /v1/chat/completions with the same messages"),
        ("GET", "/v1/responses/resp_1", 404, "ask POST /v1/chat/completions with the same messages"),
        ("POST", "/chat/completions", 404, "did you mean /v1/chat/completions?"),
        ("POST", "/v1/v1/chat/completions", 404, "did you mean /v1/chat/completions?"),
        ("POST", "/openai/deployments/auto/chat/completions", 404, "did you mean /v1/chat/completions?"),
        ("POST", "/v1/chat/completions/", 404, "did you mean /v1/chat/completions?"),
        ("GET", "/models", 404, "did you mean /v1/models?"),
        ("POST", "/v1/embeddings", 404, "/v1/chat/completions"),
        ("POST", "/v1/embeddings", 404, "[server] forward"),
        ("GET", "/", 404, "/v1/models"),
        ("GET", "/metrics", 404, "on_door = true"),
        ("GET", "/v1/chat/completions", 405, "POST"),
        ("POST", "/v1/models", 405, "GET"),
        ("GET", "/v1/models/%ff%00", 404, "unknown model"),
    ],
)
async def test_what_is_not_served_is_said_in_openais_shape(
    house, method: str, path: str, status: int, piece: str
):
    response = await house.http.request(method, house.url + path, json={})
    error = (await response.json())["error"]
    assert (response.status, piece in error["message"]) == (status, True)
    assert path.startswith("/v1/responses") or "/v1/responses" not in error["message"]  # it is no choice
    assert set(error) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("server_settings", [{"max_message_bytes": 100_000}])
async def test_a_body_that_is_too_large_is_refused(house):
    response = await house.post({"messages": "x" * 200_000})
    assert (response.status, (await response.json())["error"]["type"]) == (413, "invalid_request_error")


async def test_a_body_of_another_type_is_refused(house):
    """A web page may send text/plain to any address without asking first."""
    response = await house.http.post(f"{house.url}/v1/chat/completions", data="{}")
    assert (response.status, "application/json" in (await response.json())["error"]["message"]) == (415, True)


async def test_a_request_id_that_no_header_could_carry_is_encoded_in_the_reply(house):
    response = await house.post(router={"request_id": "a\r\nx: y ü"})
    assert response.headers["x-request-id"] == "a%0D%0Ax%3A%20y%20%C3%BC"
    assert (await response.json())["router"]["request_id"] == "a\r\nx: y ü"


async def test_bytes_that_cannot_be_unpacked_are_the_callers_mistake(house):
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    async with aiohttp.ClientSession(auto_decompress=False) as http:
        response = await http.post(f"{house.url}/v1/chat/completions", data=b"{}", headers=headers)
        error = (await response.json())["error"]
    assert (response.status, error["param"]) == (400, "body")
    assert "Content-Encoding" in error["message"]


@pytest.mark.parametrize(
    ("sent", "status"),
    [({"model": "broken"}, 503), ({"model": "nobody"}, 404), ({"temperature": 9}, 400), ({"n": "x"}, 400)],
)
async def test_a_refusal_says_what_the_request_is_called(house, sent: Any, status: int):
    """Clients show it as `request_id` of what they raise."""
    response = await house.post(**sent)
    assert (response.status, bool(response.headers["x-request-id"])) == (status, True)


async def test_a_refusal_of_a_query_that_was_begun_names_the_one_in_the_log(house):
    with pytest.raises(openai.InternalServerError) as caught:
        await house.ask("broken")
    (row,) = await house.rows()
    assert caught.value.request_id == row.request_id
    assert caught.value.response.headers["x-apportion-decision-id"] == row.decision_id


@pytest.mark.parametrize("stream", [False, True])
async def test_a_deadline_that_is_over_is_not_stretched_by_the_clients_retries(house, stream: bool):
    """Asked again, the caller would wait three times as long as it said, and pay three times."""
    house.gated.first_at_once = False
    patient = house.client.with_options(max_retries=2)
    with pytest.raises(openai.InternalServerError) as caught:
        await patient.chat.completions.create(
            model="gated",
            messages=[{"role": "user", "content": "2 + 2?"}],
            extra_body={"router": {"timeout_s": 0.05}},
            stream=stream,
        )
    assert (caught.value.status_code, len(house.gated.calls)) == (504, 1)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "failure",
    [
        BackendRefused(
            "small at http://vllm:8000: HTTP 400: This model's maximum context length is 2048 tokens. However, your "
            "prompt contains at least 2049 input tokens. (parameter=input_tokens, value=2049)"
        ),
        NoPlan("no plan is feasible: one: the prompt is longer than the 2048 tokens of backend 'small'"),
    ],
    ids=["vllm", "ours"],
)
async def test_a_prompt_that_is_too_long_is_called_so_in_openais_word(
    house, failure: Exception, stream: bool
):
    house.gated.first_at_once, house.gated.failure = False, failure
    house.gated.gate.set()
    with pytest.raises(openai.BadRequestError) as caught:
        await house.ask("gated", stream=stream)
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "messages")
    assert "2048 tokens" in caught.value.message


async def test_what_else_a_model_server_refuses_is_not_a_prompt_that_is_too_long(house):
    house.gated.first_at_once = False
    house.gated.failure = BackendRefused("max_tokens=5000 cannot be greater than max_model_len=2048")
    house.gated.gate.set()
    with pytest.raises(openai.BadRequestError) as caught:
        await house.ask("gated")
    assert caught.value.code == "backend_refused"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": [{"role": "user", "content": "hi"}]}, "model"),
        ({"model": "story"}, "messages"),
        ({"model": "story", "messages": [{"content": "hi"}]}, "messages[0].role"),
        (
            {"model": "story", "messages": [{"role": "user", "content": [{"text": "hi"}]}]},
            "messages[0].content[0].type",
        ),
    ],
)
async def test_what_is_missing_is_named(house, body: Any, param: str):
    response = await house.post(body)
    error = (await response.json())["error"]
    assert (response.status, error["param"], error["message"]) == (400, param, f"{param}: is missing")
