"""What is said where a url leads to something else than one model."""

from __future__ import annotations

import json
import socket

import pytest

from router.config import BackendConfig
from router.errors import BackendError, BackendGarbled, BackendUnavailable, ConfigError
from router.onboarding.identity import identify
from router.onboarding.survey import greet


async def meet(url: str, model: str = "", environ: dict[str, str] | None = None, **config: str):
    return await greet("small", BackendConfig(urls=(url,), model=model, **config), url, environ or {})  # type: ignore[arg-type]


MODELS = "/v1/models"
NOT_ONE = [
    (
        {MODELS: (200, "text/html", "<!doctype html><h1>Hello</h1>")},
        "no OpenAI-compatible server: .* HTML page",
    ),
    ({MODELS: (502, "text/html", "<html>bad gateway</html>")}, "no OpenAI-compatible server: .* HTML page"),
    ({}, "no OpenAI-compatible server: GET /v1/models gives HTTP 404; has the url a path too much"),
    ({MODELS: (200, "application/json", "[1, 2]")}, "gives no list of models"),
    ({MODELS: (200, "application/json", "{")}, "gives no list of models"),
    ({MODELS: (302, "text/plain", "moved")}, "gives HTTP 302"),
]


@pytest.mark.parametrize(("content", "message"), NOT_ONE, ids=[message for _, message in NOT_ONE])
async def test_what_is_no_model_server_is_named_as_such(pages, content, message):
    with pytest.raises(BackendGarbled, match=message) as caught:
        await meet(pages(content))
    assert "\n" not in str(caught.value)


async def test_a_dead_port_is_unreachable():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(BackendUnavailable, match=f"small at http://127.0.0.1:{port}: connection failed"):
        await meet(f"http://127.0.0.1:{port}")


async def test_a_server_that_is_not_ready_says_so_itself(pages):
    with pytest.raises(BackendUnavailable, match="HTTP 503: loading"):
        await meet(pages({MODELS: (503, "application/json", '{"error": "loading"}')}))


async def test_a_server_without_models_is_refused(pages):
    with pytest.raises(ConfigError, match="it serves no model"):
        await meet(pages({MODELS: (200, "application/json", '{"data": []}')}))


async def test_of_several_models_one_must_be_chosen(two_models):
    with pytest.raises(ConfigError, match=r"serves 2 models: one, two; choose with small=http://.*#MODEL"):
        await meet(two_models.url)


async def test_the_chosen_one_of_several_models_is_taken(two_models):
    who = await meet(two_models.url, "two")
    assert (who.model, who.models) == ("two", ("one", "two"))


async def test_a_model_that_is_not_there_is_named_with_the_choices(two_models):
    with pytest.raises(ConfigError, match=r"unknown model 'too' .did you mean 'two'..; choose from one, two"):
        await meet(two_models.url, "too")


@pytest.mark.parametrize("key", [None, "wrong"])
async def test_without_the_right_key_the_option_is_named(keyed, key):
    config = {} if key is None else {"api_key_env": "THE_KEY"}
    with pytest.raises(BackendUnavailable, match=r"HTTP 401: it wants another key; .*--api-key-env"):
        await meet(keyed.url, environ={"THE_KEY": key or ""}, **config)


async def test_the_right_key_opens(keyed):
    assert (await meet(keyed.url, environ={"THE_KEY": "open sesame"}, api_key_env="THE_KEY")).model == "stub"


async def test_a_variable_that_is_not_set_is_named(keyed):
    with pytest.raises(BackendUnavailable, match=r"variable 'THE_KEY' .api_key_env. is not set"):
        await meet(keyed.url, api_key_env="THE_KEY")


async def test_a_plain_server_without_vllms_pages_is_one_too(pages):
    who = await meet(pages({MODELS: (200, "application/json", json.dumps({"data": [{"id": "gpt"}]}))}))
    assert (who.model, who.version, who.vllm, who.metrics, who.tokenize) == ("gpt", "", False, False, False)


STRANGE = [{"id": "m", "max_model_len": length} for length in (True, -1, 0, "4096", 1e9, 10**12, None)]


@pytest.mark.parametrize("entry", STRANGE, ids=[repr(entry["max_model_len"]) for entry in STRANGE])
async def test_a_context_length_that_makes_no_sense_is_none(pages, entry):
    who = await meet(pages({MODELS: (200, "application/json", json.dumps({"data": [entry, "x", {}]}))}))
    assert (who.models, who.context_tokens) == (("m",), None)


class _Late:
    """Another clock on the other side."""

    who, url = "small at nowhere", "nowhere"

    async def get(self, path: str, within_s: float):
        from router.backends.openai_probe import Answer

        return Answer(200, "application/json", b'{"data": [{"id": "m"}]}', date=1060.0)

    async def post(self, path: str, body: object, within_s: float):
        raise BackendError("none")


async def test_the_difference_of_the_clocks_is_measured():
    who = await identify(_Late(), "small", wall_s=lambda: 1000.0)  # type: ignore[arg-type]
    assert who.clock_ahead_s == 60.0
