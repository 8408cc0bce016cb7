"""`apportion doctor` as its users run it: what it finds, and how it ends."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pytest

from router.decisions.owner import Owner
from router.recordings.cost import Prices
from router.recordings.format import RecordingMeta, write_recording

PLANS = '[[plans]]\nname = "one"\nstages = [{ backend = "small" }]\n'
SERVER = '[server]\nlisten = "127.0.0.1:0"\nadmin_listen = "127.0.0.1:0"\n'


def section(url: str, model: str = "tiny-135M", **more: Any) -> str:
    known: dict[str, Any] = {"urls": [url], "model": model, "price_in": 1.0, "price_out": 2.0} | more
    return "[backends.small]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in known.items())


@pytest.fixture
def doctor(apportion, tmp_path):
    """`doctor(text)` gives the exit code and what was found: about -> (health, text), the worst where several."""

    def run(text: str, *options: str) -> tuple[int, Mapping[str, tuple[str, str]]]:
        (tmp_path / "router.toml").write_text(text)
        told = apportion("doctor", "--config", str(tmp_path / "router.toml"), "--quick", "--json", *options)
        order = ("ok", "note", "problem")
        found: dict[str, tuple[str, str]] = {}
        for row in sorted(json.loads(told.out)["findings"], key=lambda row: order.index(row["health"])):
            found[row["about"]] = (row["health"], row["text"])
        return told.exit_code, found

    return run


ABLE: dict[str, Any] = {"context_tokens": 4096, "logprobs": True, "tools": True, "response_format": True}


def test_what_is_true_is_healthy(doctor, able):
    code, found = doctor(section(able.url, **ABLE) + PLANS + SERVER)
    assert code == 0
    assert {health for health, _ in found.values()} == {"ok", "note"}
    assert found["backends.small.logprobs"][0] == found["store"][0] == found["server.listen"][0] == "ok"
    assert found["bundle"][0] == "note"


def test_what_init_writes_is_healthy(apportion, doctor, able, tmp_path):
    out = tmp_path / "first.toml"
    told = apportion("init", "--backend", f"small={able.url}", "--out", str(out), "--quick")
    assert told.exit_code == 0
    text = re.sub(r'"127\.0\.0\.1:(5005\d|8080)"', '"127.0.0.1:0"', out.read_text())
    code, _ = doctor(text)
    assert code == 0


PROMISES: dict[str, str] = {
    "logprobs": "cascades and votes can use agreement only",
    "tools": "queries with tools never go here",
    "response_format": "queries with a response format never go here",
}


@pytest.mark.parametrize("key", PROMISES)
def test_an_ability_that_is_not_there_is_a_problem_with_its_cost_and_the_servers_words(doctor, plain, key):
    code, found = doctor(section(plain.url, "plain-7B", **{key: True}) + PLANS + SERVER)
    health, text = found[f"backends.small.{key}"]
    assert (code, health) == (1, "problem")
    assert f"Unknown parameter: {key}" in text
    assert PROMISES[key] in text


def test_an_ability_that_is_not_configured_is_a_note(doctor, able):
    code, found = doctor(section(able.url, context_tokens=4096) + PLANS + SERVER)
    health, text = found["backends.small.logprobs"]
    assert (code, health) == (0, "note")
    assert "the server can" in text


def test_what_is_missing_is_said_with_its_cost(doctor, plain):
    _, found = doctor(section(plain.url, "plain-7B") + PLANS + SERVER)
    assert found["backends.small.prefix_cache"][1].endswith("pays for the whole prompt")
    assert found["backends.small.stream_usage"][1].endswith("costs are estimates")


SERVERS: list[tuple[dict[str, Any], str, str]] = [
    ({"model": "other"}, "backends.small", "unknown model 'other'; choose from tiny-135M"),
    ({"context_tokens": 9000}, "backends.small.context_tokens", "the server takes 4096"),
    ({"max_tokens": 5000}, "backends.small.max_tokens", "more than the 4096 tokens"),
    ({"urls": ["http://127.0.0.1:1"]}, "backends.small", "connection failed"),
]


@pytest.mark.parametrize(("more", "about", "words"), SERVERS, ids=[words for _, _, words in SERVERS])
def test_what_is_not_so_is_a_problem(doctor, able, more, about, words):
    code, found = doctor(section(able.url, **more) + PLANS + SERVER)
    assert (code, found[about][0]) == (1, "problem")
    assert words in found[about][1]


def test_of_two_urls_the_dead_one_is_a_problem_and_the_other_is_asked(doctor, able):
    code, found = doctor(section(able.url, urls=["http://127.0.0.1:1", able.url], **ABLE) + PLANS + SERVER)
    assert code == 1
    assert "http://127.0.0.1:1" in found["backends.small"][1]
    assert found["backends.small.logprobs"][0] == "ok"


@pytest.mark.parametrize(("price", "health"), [(1e-3, "problem"), (1e6, "problem")])
def test_prices_that_no_load_explains_are_a_problem(doctor, able, price, health):
    text = section(able.url, price_in=price, price_out=price, **ABLE) + PLANS + SERVER
    code, found = doctor(text, "--gpu-dollars-per-hour", "1000")
    assert (code, found["backends.small.price_out"][0]) == (1, health)
    assert "which no load explains" in found["backends.small.price_out"][1]


def test_prices_are_not_judged_without_the_price_of_an_hour(doctor, able):
    code, found = doctor(section(able.url, price_in=1e6, price_out=1e6, **ABLE) + PLANS + SERVER)
    assert code == 0
    assert "backends.small.price_out" not in found


def test_prices_of_zero_are_noted(doctor, able):
    _, found = doctor(section(able.url, price_in=0.0, price_out=0.0, **ABLE) + PLANS + SERVER)
    assert found["backends.small.price_out"] == (
        "note",
        "prices are 0: no plan is dearer than another, budgets are never spent",
    )


SCRIPTED = '[backends.small]\nkind = "scripted"\n' + PLANS


def test_a_taken_port_is_a_problem(doctor):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, found = doctor(f'{SCRIPTED}[server]\nlisten = "{address}"\nadmin_listen = "127.0.0.1:0"\n')
    assert (code, found["server.listen"][0]) == (1, "problem")
    assert address in found["server.listen"][1]


def test_the_ports_and_the_store_of_the_service_that_runs_are_no_problem(doctor, tmp_path):
    owner = Owner(tmp_path / "apportion.db")
    owner.note("replica", 7)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, found = doctor(f'{SCRIPTED}[server]\nlisten = "{address}"\nadmin_listen = "127.0.0.1:0"\n')
    runs = f"the service runs (process {os.getpid()}"
    assert (code, found["server.listen"][0], found["store"][0]) == (0, "ok", "ok")
    assert found["server.listen"][1] == f"{address} is taken: {runs})"
    assert found["store"][1].endswith(f"{runs} has it open)")


def test_a_store_that_another_process_owns_is_a_problem_and_keeps_its_owner(doctor, tmp_path):
    owner = Owner(tmp_path / "apportion.db")
    owner.note("replica", 7)
    code, found = doctor(SCRIPTED + SERVER)
    assert (code, found["store"][0]) == (1, "problem")
    assert "has it open; one process owns one file" in found["store"][1]
    assert owner.left() == {"replica": (7, 7)}
    owner.close()


def test_a_store_that_nobody_owns_any_more_is_free_and_nothing_is_made(doctor, tmp_path):
    code, found = doctor(SCRIPTED + SERVER)
    assert (code, found["store"][0]) == (0, "ok")
    assert [path.name for path in tmp_path.iterdir()] == ["router.toml"]


def test_a_store_that_is_something_else_is_a_problem(doctor, tmp_path):
    (tmp_path / "apportion.db").write_text("no database at all")
    code, found = doctor(SCRIPTED + SERVER)
    assert (code, found["store"][0]) == (1, "problem")
    assert "is no SQLite file" in found["store"][1]


def test_a_bundle_that_is_not_there_is_a_problem(doctor):
    code, found = doctor('bundle = "nowhere"\n' + SCRIPTED + SERVER)
    assert (code, found["bundle"][0]) == (1, "problem")
    assert "nowhere" in found["bundle"][1]


@pytest.fixture
def recording(tmp_path):
    samples = [
        {"query_id": "q", "backend": "small", "sample_idx": 0, "text": "4", "answer": "4", "reward": 1.0}
    ]
    write_recording(
        tmp_path / "recorded",
        RecordingMeta("recorded", {"small": Prices(0.1, 0.2)}),
        pa.Table.from_pylist([{"query_id": "q", "query": "2 + 2?"}]),
        pa.Table.from_pylist(samples),
    )
    return tmp_path / "recorded"


RECORDED = '[backends.small]\nkind = "recorded"\nrecording = "recorded"\n' + PLANS + SERVER


def test_a_recording_that_can_be_read_is_said_with_its_size(doctor, recording):
    code, found = doctor(RECORDED)
    assert (code, found["backends.small"]) == (0, ("ok", "recording recorded: 1 queries, 1 samples"))


def test_a_recording_that_is_damaged_is_a_problem(doctor, recording):
    (recording / "samples.parquet").write_bytes(b"PAR1")
    code, found = doctor(RECORDED)
    assert (code, found["backends.small"][0]) == (1, "problem")
    assert "samples.parquet" in found["backends.small"][1]


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "cannot be read"), ("[", "is not TOML"), (SCRIPTED + "mod = 1\n", "unknown key 'mod'")],
)
def test_a_configuration_that_cannot_be_read_ends_with_2(apportion, tmp_path, text, words):
    file = tmp_path / "router.toml"
    if text is not None:
        file.write_text(text)
    told = apportion("doctor", "--config", str(file))
    assert told.exit_code == 2
    assert words in told.err


def test_for_people_it_is_a_table_that_ends_with_the_counts(apportion, tmp_path):
    (tmp_path / "router.toml").write_text(SCRIPTED + SERVER)
    told = apportion("doctor", "--config", str(tmp_path / "router.toml"))
    assert told.exit_code == 0
    assert told.out.splitlines()[-1] == "0 problems, 2 notes, 3 ok"
    assert any(line.startswith("note  backends.small") for line in told.out.splitlines())
