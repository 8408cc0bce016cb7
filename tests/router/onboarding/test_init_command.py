"""`apportion init` as its users run it."""

from __future__ import annotations

import json

import pytest

from router.configuration.file import load


@pytest.fixture
def init(apportion, tmp_path):
    """`init("small=URL", "--quick")` writes `tmp_path/router.toml`."""

    def run(*backends: str, options: tuple[str, ...] = ()):
        named = [word for backend in backends for word in ("--backend", backend)]
        return apportion("init", *named, "--out", str(tmp_path / "router.toml"), "--quick", *options)

    return run


def test_two_servers_become_a_configuration_that_can_be_served(init, apportion, able, plain, tmp_path):
    told = init(f"small={able.url}", f"large={plain.url}/v1", options=("--gpu-dollars-per-hour", "1.5"))
    assert told.exit_code == 0
    assert "wrote " in told.out
    assert apportion("check", str(tmp_path / "router.toml")).exit_code == 0
    config = load(tmp_path / "router.toml", serving=True)
    small, large = config.backends["small"], config.backends["large"]
    assert (small.model, small.logprobs, small.tools, small.response_format) == (
        "tiny-135M",
        True,
        True,
        True,
    )
    assert (large.model, large.logprobs, large.tools, large.response_format) == (
        "plain-7B",
        False,
        False,
        False,
    )
    assert small.price_out > 0
    assert large.price_cached_in is None


def test_it_says_what_is_missing_and_what_that_costs(init, plain):
    out = " ".join(init(f"small={plain.url}").out.split())
    assert (
        "missing logprobs: first-token confidence is missing: cascades and votes can use agreement only"
        in out
    )
    assert "missing several: several samples are several requests" in out


def test_without_dollars_it_asks_for_prices(init, able):
    told = init(f"small={able.url}")
    assert "it has no prices yet" in told.err


def test_progress_is_on_standard_error_and_json_alone_on_standard_output(init, able):
    told = init(f"small={able.url}", options=("--json", "--gpu-dollars-per-hour", "small=2"))
    document = json.loads(told.out)
    assert document["ok"] is True
    assert document["plans"] == ["small", "small-vote"]
    small = document["backends"]["small"]
    assert small["abilities"]["logprobs"] is True
    assert small["prices"]["price_out"] > 0
    assert "small: prefix cache …" in told.err


def test_the_model_of_a_server_with_two_is_chosen(init, two_models, tmp_path):
    assert init(f"small={two_models.url}#two").exit_code == 0
    assert load(tmp_path / "router.toml").backends["small"].model == "two"


def test_one_server_of_two_models_is_two_backends(init, two_models, tmp_path):
    assert init(f"a={two_models.url}#one", f"b={two_models.url}#two").exit_code == 0
    written = load(tmp_path / "router.toml").backends
    assert {name: backend.model for name, backend in written.items()} == {"a": "one", "b": "two"}


def test_everything_that_is_wrong_is_said_at_once_a_line_each_and_nothing_is_written(
    init, two_models, pages, tmp_path
):
    html = pages({"/v1/models": (200, "text/html", "<html>")})
    told = init("dead=http://127.0.0.1:1", f"page={html}", f"both={two_models.url}")
    assert told.exit_code == 1
    lines = told.err.strip().splitlines()
    assert len(lines) == 3
    assert "dead at http://127.0.0.1:1: connection failed" in lines[0]
    assert "page at" in lines[1]
    assert "HTML page" in lines[1]
    assert "choose with both=" in lines[2]
    assert not (tmp_path / "router.toml").exists()


def test_a_wrong_key_ends_in_one_line(init, keyed, monkeypatch):
    monkeypatch.setenv("THE_KEY", "wrong")
    told = init(f"small={keyed.url}", options=("--api-key-env", "THE_KEY"))
    assert told.exit_code == 1
    assert told.err.count("\n") == 1
    assert "it wants another key" in told.err


def test_the_right_key_is_used_and_its_variable_written_but_not_the_key(init, keyed, monkeypatch, tmp_path):
    monkeypatch.setenv("THE_KEY", "open sesame")
    assert init(f"small={keyed.url}", options=("--api-key-env", "small=THE_KEY")).exit_code == 0
    assert load(tmp_path / "router.toml").backends["small"].api_key_env == "THE_KEY"
    assert "sesame" not in (tmp_path / "router.toml").read_text()


def test_a_file_that_is_there_is_refused_before_any_server_is_asked(init, tmp_path):
    (tmp_path / "router.toml").write_text("mine")
    told = init("small=http://127.0.0.1:1")
    assert (told.exit_code, (tmp_path / "router.toml").read_text()) == (1, "mine")
    assert "--force" in told.err
    assert "connection" not in told.err


def test_with_force_it_is_replaced(init, able, tmp_path):
    (tmp_path / "router.toml").write_text("mine")
    assert init(f"small={able.url}", options=("--force",)).exit_code == 0
    assert load(tmp_path / "router.toml").reference == "small"


def test_a_folder_that_is_not_there_is_named(apportion, tmp_path):
    told = apportion(
        "init", "--backend", "small=http://127.0.0.1:1", "--out", str(tmp_path / "no" / "router.toml")
    )
    assert told.exit_code == 1
    assert "there is no folder" in told.err


def test_errors_are_json_where_json_is_asked_for(init):
    told = init("small=http://127.0.0.1:1", options=("--json",))
    assert told.exit_code == 1
    assert json.loads(told.out)["ok"] is False
