"""`apportion allocate` against a real server: all answers once, also after it was stopped half way."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from router.__main__ import commands

TOML = """
[backends.small]
kind = "scripted"
script = ["4"]
price_out = 2.0
[[plans]]
name = "one"
stages = [{ backend = "small" }]
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
[store]
sqlite = ":memory:"
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The address of a running service."""
    path = tmp_path_factory.mktemp("served") / "router.toml"
    path.write_text(TOML)
    arguments = [sys.executable, "-m", "router", "serve", "--config", str(path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"router=(\S+)", process.stdout.readline())
        assert found is not None
        yield found[1]
        process.terminate()
        process.communicate(timeout=30)


def run(*arguments: object) -> int:
    """The exit code."""
    try:
        commands().main([str(argument) for argument in arguments], prog_name="apportion")
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def lines(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [json.loads(line) for line in path.read_text().splitlines()]
    return found


@pytest.fixture
def questions(tmp_path):
    path = tmp_path / "queries.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"question {at}"}) + "\n" for at in range(20)))
    return path


def test_every_query_has_its_line(served, questions, tmp_path):
    out = tmp_path / "out.jsonl"
    assert run("allocate", questions, "--out", out, "--dollars", "1", "--server", served) == 0
    assert sorted(line["position"] for line in lines(out)) == list(range(20))
    assert all(line["plan"] and line["dollars"] > 0 for line in lines(out))


def test_asked_again_it_writes_what_is_missing(served, questions, tmp_path):
    out = tmp_path / "out.jsonl"
    command = ["allocate", questions, "--out", out, "--server", served]
    run(*command)
    whole = out.read_text().splitlines(keepends=True)
    out.write_text("".join(whole[:7]) + whole[7][:9])
    run(*command)
    assert sorted(line["position"] for line in lines(out)) == list(range(20))


def test_a_batch_that_is_found_again_is_said_to_be_one_whatever_money_it_is_asked_with(
    served, questions, tmp_path, capsys
):
    command = ["allocate", questions, "--out", tmp_path / "out.jsonl", "--server", served, "--batch", "twice"]
    run(*command, "--dollars", "1")
    assert "answered before" not in capsys.readouterr().err
    run(*command, "--dollars", "2")
    said = capsys.readouterr().err
    assert "batch twice was answered before; under another --batch it is asked anew" in said
    assert "of $1 spent" in said


def test_a_file_for_collect_will_do(served, tmp_path):
    path, out = tmp_path / "queries.jsonl", tmp_path / "out.jsonl"
    path.write_text('{"query_id": "q", "query": "What is 2 + 2?", "task": null, "gold": "4"}\n')
    assert run("allocate", path, "--out", out, "--dollars", "1", "--server", served) == 0
    assert [line["answer"] for line in lines(out)] == ["4"]


@pytest.mark.parametrize("theirs", ["notes\nof mine", "notes", '{"position": 0, "ans\nmore'])
def test_a_file_of_something_else_is_refused_and_stays_as_it_is(served, questions, tmp_path, capsys, theirs):
    out = tmp_path / "notes.md"
    out.write_text(theirs)
    assert run("allocate", questions, "--out", out, "--server", served) == 1
    assert "choose another --out" in capsys.readouterr().err
    assert out.read_text() == theirs


def test_results_of_another_file_are_not_taken_for_this_ones(served, questions, tmp_path, capsys):
    other, out = tmp_path / "other.jsonl", tmp_path / "out.jsonl"
    other.write_text('{"prompt": "another"}\n')
    assert run("allocate", other, "--out", out, "--server", served) == 0
    assert "$0.00000" in capsys.readouterr().err  # fractions of a cent are told
    assert run("allocate", questions, "--out", out, "--server", served) == 1
    assert re.search(r"out\.jsonl:1: is of batch file-\w+, this is file-", capsys.readouterr().err)
    assert len(lines(out)) == 1


def test_a_text_may_hold_any_character_and_the_file_a_mark_before_it(served, tmp_path):
    path, out = tmp_path / "queries.jsonl", tmp_path / "out.jsonl"
    path.write_text('{"prompt": "one\u2028line\x85 only"}\n', "utf-8-sig")
    assert run("allocate", path, "--out", out, "--server", served) == 0
    assert len(lines(out)) == 1


def test_a_budget_that_ends_says_how_to_go_on(served, questions, tmp_path, capsys):
    out = tmp_path / "out.jsonl"
    command = ["allocate", questions, "--out", out, "--dollars", "0", "--batch", "poor", "--server", served]
    assert run(*command) == 1
    assert "with more --dollars" in capsys.readouterr().err


def test_a_batch_that_was_cancelled_is_no_success(served, questions, tmp_path, capsys):
    from router.client import BatchQuery, SyncClient

    asked = [BatchQuery(f"question {at}") for at in range(20)]
    with SyncClient(served) as client:
        client.batches.create(asked, batch_id="left", budget_micros=0)
        client.batches.cancel("left")
    command = ["allocate", questions, "--out", tmp_path / "out.jsonl", "--batch", "left", "--server", served]
    assert run(*command) == 1
    assert "the batch was cancelled" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", ":1: is not JSON"),
        ("\n", "it has no queries"),
        ('{"prompt": 3}', "wants"),
        ('{"prompt": "x", "query": "y"}', 'wants {"prompt": "…"} or {"query": "…"}'),
        ('{"query_id": "q"}', 'wants {"prompt": "…"} or {"query": "…"}'),
        ('{"prompt": "x", "promt": "y"}', "unknown key 'promt'; choose from prompt"),
    ],
)
def test_a_bad_line_is_named(tmp_path, capsys, text, message):
    path = tmp_path / "queries.jsonl"
    path.write_text(text)
    assert run("allocate", path, "--out", tmp_path / "out") == 1
    assert message in capsys.readouterr().err


def test_bytes_that_are_no_utf8_are_named(tmp_path, capsys):
    path = tmp_path / "queries.jsonl"
    path.write_bytes(b'{"prompt": "caf\xe9"}')
    assert run("allocate", path, "--out", tmp_path / "out") == 1
    assert "is not UTF-8: byte 0xe9" in capsys.readouterr().err
