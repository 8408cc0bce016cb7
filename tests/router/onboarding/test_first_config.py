"""The router.toml that is written: it loads, says what was measured, and never takes the place of another."""

from __future__ import annotations

from typing import Any

import pytest

from router.config import BackendConfig
from router.configuration.build_plans import build_plans
from router.configuration.file import load
from router.errors import ConfigError
from router.onboarding.first_config import first_config, write_config
from router.onboarding.first_plans import (
    PROMPTS,
    Surveyed,
    cheapest_first,
    contradiction,
    first_plans,
    parameters,
)
from training.prompts import PROMPTS as COLLECTED


@pytest.fixture
def written(tmp_path):
    """The configuration that is read back."""

    def write(*servers, ways=None):
        ways = {one.name: BackendConfig() for one in servers} | (ways or {})
        write_config(tmp_path / "router.toml", first_config(servers, ways, tmp_path), force=True)
        return load(tmp_path / "router.toml", serving=True)

    return write


CASES: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "one": [("small", {})],
    "two with prices": [
        ("small", {"dollars": 1.0}),
        ("large", {"dollars": 9.0, "tokens_per_second_busy": 50.0}),
    ],
    "three": [("a", {}), ("b", {"logprobs": False}), ("c", {})],
    "a name in quotes": [("my model (v2)", {}), ('say "hi"', {})],
    "names of plans": [("cascade", {}), ("small", {}), ("small-vote", {})],
    "hardly anything known": [
        (
            "small",
            {
                "logprobs": None,
                "tools": None,
                "context_tokens": None,
                "first_token_s": None,
                "tokens_per_second": None,
                "tokens_per_second_busy": None,
                "prompt_tokens_per_second": None,
                "prefix_cache": None,
                "dollars": 2.0,
                "notes": ("speed: not measured:\nnothing came",),
            },
        )
    ],
    "a tiny context": [("small", {"context_tokens": 1})],
    "fast and cheap": [
        ("small", {"dollars": 0.01, "tokens_per_second_busy": 1e6, "prompt_tokens_per_second": 1e7})
    ],
    "slow and dear": [
        ("small", {"dollars": 1e5, "tokens_per_second_busy": 0.01, "prompt_tokens_per_second": 0.01})
    ],
    "what a hostile server says": [
        (
            "small",
            {
                "model": 'x"\n[server]\nlisten = "0.0.0.0:1"\n#\x7f\x00',
                "version": "1\n[server]\nallow_remote = true",
                "notes": ("oh\r\n[server]\x00\x1b[1m",),
            },
        )
    ],
    "a thinking base model": [("small", {"api": "completions", "reasoning": "<think>"})],
}


@pytest.mark.parametrize("case", CASES)
def test_whatever_was_found_it_loads_and_its_plans_can_be_built(written, surveyed, case):
    config = written(*(surveyed(name, **known) for name, known in CASES[case]))
    assert sorted(config.backends) == sorted(name for name, _ in CASES[case])
    assert len(build_plans(config)) == len(config.plans) >= 2
    assert config.mode == "observe"
    assert not config.server.allow_remote
    # OpenAI clients and the console find it where pages say
    assert config.server.http_listen == "127.0.0.1:8080"


def test_the_load_of_a_server_that_does_not_tell_it_is_not_watched(written, surveyed):
    assert written(surveyed("small", metrics=False)).backends["small"].load_every_s == 0.0


def test_what_was_measured_stands_in_it(written, surveyed):
    config = written(surveyed("small", dollars=3.6, logprobs=False, tools=True, context_tokens=4096))
    small = config.backends["small"]
    assert (small.urls, small.model, small.context_tokens) == (
        ("http://127.0.0.1:1",),
        "model-of-small",
        4096,
    )
    assert (small.logprobs, small.tools, small.response_format) == (False, True, True)
    assert (small.tokens_per_second, small.first_token_s, small.load_every_s) == (50.0, 0.2, 5.0)
    # $3.6 per hour are $0.001 per second: 4000 tokens read or 200 written
    assert (small.price_in, small.price_cached_in, small.price_out) == (0.25, 0.0625, 5.0)


def test_without_dollars_prices_are_zero_and_it_is_said_what_to_fill_in(surveyed, tmp_path):
    text = first_config([surveyed("small")], {"small": BackendConfig()}, tmp_path)
    assert "price_in = 0.0\n" in text
    assert "price_cached_in" not in text
    assert "# Fill these in: with prices of 0" in text


def test_input_has_no_price_of_its_own_from_a_cache_that_is_none(written, surveyed):
    config = written(surveyed("small", dollars=3.6, prefix_cache=False))
    assert config.backends["small"].price_cached_in is None


def test_plans_are_every_backend_a_vote_of_each_and_a_cascade_from_the_cheapest_to_the_dearest(
    written, surveyed
):
    config = written(surveyed("dear", dollars=9.0), surveyed("cheap", dollars=1.0))
    stages = {plan.name: [stage.backend for stage in plan.stages] for plan in config.plans}
    assert stages == {
        "cheap": ["cheap"],
        "dear": ["dear"],
        "cheap-vote": ["cheap"],
        "dear-vote": ["dear"],
        "cascade": ["cheap", "dear"],
    }
    assert (config.reference, config.untrained) == ("dear", "cascade")


def test_a_cascade_over_a_server_without_log_probabilities_asks_for_agreement(written, surveyed):
    config = written(surveyed("small", dollars=1.0, logprobs=False), surveyed("large", dollars=9.0))
    stage = config.plans[-1].stages[0]
    assert stage.stop == {"kind": "agreement", "needed": 2}
    assert stage.max_samples == 3


def order(*servers: Surveyed) -> list[str]:
    return [one.name for one in cheapest_first(servers)]


def test_the_size_in_the_name_says_which_comes_first_whatever_a_busy_hour_measured(surveyed):
    big = surveyed("x", model="Qwen2.5-32B-Instruct", dollars=1.0)
    small = surveyed(
        "y", model="SmolLM2-135M", dollars=1.0, tokens_per_second_busy=1.0, tokens_per_second=1.0
    )
    assert order(big, small) == ["y", "x"]
    assert contradiction([small, big]).startswith("y (SmolLM2-135M) came out dearer than x")
    assert contradiction([surveyed("y"), big]) == ""


def test_without_sizes_the_price_says_which_comes_first_else_the_speed(surveyed):
    assert order(surveyed("x", dollars=9.0), surveyed("y", dollars=1.0)) == ["y", "x"]
    assert order(surveyed("x", tokens_per_second=5.0), surveyed("y", tokens_per_second=500.0)) == ["y", "x"]


def test_several_requests_that_write_less_than_one_make_no_price(surveyed):
    held_up = surveyed("small", dollars=3.6, tokens_per_second=50.0, tokens_per_second_busy=0.3)
    assert held_up.prices.price_out == 20.0


@pytest.mark.parametrize(
    ("model", "billions"),
    [
        ("Qwen/Qwen2.5-1.5B-Instruct", 1.5),
        ("gemma-3-270m-it", 0.27),
        ("Mixtral-8x7B", 7.0),
        ("gpt-4o", 0.0),
        ("v2b1", 0.0),
    ],
)
def test_a_models_size_is_read_from_its_name(model, billions):
    assert parameters(model) == billions


def test_prompts_are_those_that_collect_knows(surveyed):
    assert {name: COLLECTED[name].after for name in PROMPTS} == PROMPTS
    assert all(not COLLECTED[name].before and not COLLECTED[name].system for name in PROMPTS)


def test_keys_certificates_and_proxies_stand_in_it_by_name_and_place(
    written, surveyed, tmp_path, certificate
):
    (tmp_path / "tls").mkdir()
    inside = tmp_path / "tls" / "ca.pem"
    inside.write_bytes(certificate.read_bytes())
    way = BackendConfig(api_key_env="KEY", ca_file=str(inside), proxy="http://p:1", proxy_auth_env="LOGIN")
    small = written(surveyed("small", url="https://h:1"), ways={"small": way}).backends["small"]
    assert (small.api_key_env, small.ca_file) == ("KEY", "tls/ca.pem")
    assert (small.proxy, small.proxy_auth_env) == ("http://p:1", "LOGIN")


def test_a_thinking_model_may_say_more(written, surveyed):
    assert written(surveyed("small")).backends["small"].max_tokens == 1024
    assert written(surveyed("small", reasoning="<think>")).backends["small"].max_tokens == 4096


def test_a_file_that_is_there_stays_as_it_was_and_nothing_is_left_behind(surveyed, tmp_path):
    out = tmp_path / "router.toml"
    out.write_text("mine")
    text = first_config([surveyed("small")], {"small": BackendConfig()}, tmp_path)
    with pytest.raises(ConfigError, match="is there already; --force overwrites it"):
        write_config(out, text, force=False)
    assert out.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["router.toml"]


def test_with_force_it_is_overwritten(surveyed, tmp_path):
    out = tmp_path / "router.toml"
    out.write_text("mine")
    write_config(out, first_config([surveyed("small")], {"small": BackendConfig()}, tmp_path), force=True)
    assert load(out).reference == "small"
    assert [path.name for path in tmp_path.iterdir()] == ["router.toml"]


def test_a_text_that_does_not_load_is_never_written(tmp_path):
    with pytest.raises(ConfigError, match="there are no plans"):
        write_config(tmp_path / "router.toml", "[backends]\n", force=False)
    assert list(tmp_path.iterdir()) == []


def test_every_plan_has_a_name_of_its_own_whatever_backends_are_called(surveyed):
    names = [plan.name for plan in first_plans([surveyed(name) for name in ("a", "a-vote", "cascade")])]
    assert len(set(names)) == len(names) == 7
