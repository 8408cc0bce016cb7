"""`apportion collect` keeps every sample once, whatever happens to it, and says what is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from router.recording import Recording
from training.collect.backend import parse_backend
from training.collect.command import collect_command
from training.collect.items import sample_seed
from training.collect.journal import Journal, read_rows
from training.collect.run import Pace
from training.errors import TrainingError
from training.openai_reply import Reply
from training.openai_samples import Server

TIMINGS = ("first_token_s", "latency_s")


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    return written(tmp_path / "queries.jsonl", 6)


def written(path: Path, many: int) -> Path:
    rows = [
        {
            "query_id": f"q{n}",
            "query": f"What is {n} + {n}?",
            "task": "sum",
            "gold": str(2 * n),
            "level": n % 3,
        }
        for n in range(many)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def drawn(folder: Path) -> list[dict[str, Any]]:
    """The recording's sample rows without timings."""
    table = pq.read_table(folder / "samples.parquet")
    rows: list[dict[str, Any]] = table.drop_columns(list(TIMINGS)).to_pylist()
    return rows


def test_a_collection_is_a_recording(url: str, queries: Path, tmp_path: Path) -> None:
    collect_command(
        [f"small={url},price_in=1,price_out=2"], queries, tmp_path / "r", samples=3, licence="CC0-1.0", seed=5
    )
    recording = Recording.load(tmp_path / "r")
    assert len(recording.queries) == 6
    assert [sample.sample_idx for sample in recording.samples("q4", "small")] == [0, 1, 2]
    sample = recording.samples("q4", "small")[0]
    assert sample.text is not None and sample.text.startswith("Answer: ") and sample.text.endswith("é")
    assert (sample.tokens_in, sample.tokens_out, sample.finish_reason) == (14, 2, "stop")
    assert sample.cost == pytest.approx((14 * 1 + 2 * 2) / 1e6)
    assert 0 <= sample.first_token_s <= sample.latency_s
    assert recording.meta.licence == "CC0-1.0"
    assert pq.read_table(tmp_path / "r" / "queries.parquet").column("level").to_pylist() == [0, 1, 2, 0, 1, 2]


def test_logprobs_become_a_mean_and_the_first_tokens_entropy(url: str, queries: Path, tmp_path: Path) -> None:
    collect_command([f"small={url}"], queries, tmp_path / "r", samples=1)
    sample = Recording.load(tmp_path / "r").samples("q0", "small")[0]
    assert sample.mean_logprob == pytest.approx(-1.0)
    assert sample.first_entropy == pytest.approx(math.log(2))


def test_the_same_seed_draws_the_same_and_another_seed_something_else(
    url: str, queries: Path, tmp_path: Path
) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        collect_command([f"small={url}"], queries, tmp_path / name, samples=4, seed=seed)
    assert drawn(tmp_path / "a") == drawn(tmp_path / "b")
    assert [row["text"] for row in drawn(tmp_path / "a")] != [row["text"] for row in drawn(tmp_path / "c")]


def test_a_sample_has_its_own_seed() -> None:
    seeds = {sample_seed(0, q, b, i) for q in ("a", "b") for b in ("s", "l") for i in range(50)}
    assert len(seeds) == 200 and all(0 <= seed < 2**31 for seed in seeds)


def test_a_prompt_template_is_a_backend_of_its_own(url: str, queries: Path, tmp_path: Path) -> None:
    collect_command([f"s={url},prompt=none", f"s-step={url},prompt=step"], queries, tmp_path / "r", samples=1)
    recording = Recording.load(tmp_path / "r")
    plain, step = recording.samples("q0", "s")[0], recording.samples("q0", "s-step")[0]
    assert step.tokens_in - plain.tokens_in == len(
        '\nThink step by step, then finish with "Answer: " and the answer.'
    )
    assert json.loads(recording.value(step.row, "params"))["prompt"] == "step"


def test_a_longer_collection_begins_with_the_shorter_one(url: str, queries: Path, tmp_path: Path) -> None:
    collect_command([f"small={url}"], queries, tmp_path / "r", samples=2, limit=3)
    before = drawn(tmp_path / "r")
    collect_command([f"small={url}", f"large={url}"], queries, tmp_path / "r", samples=3)
    after = drawn(tmp_path / "r")
    assert len(before) == 6 and len(after) == 36
    assert [row for row in after if row in before] == before


@pytest.mark.timeout(600)  # eleven processes, each of which imports its world
def test_killed_ten_times_at_random_it_keeps_the_same_rows(url: str, tmp_path: Path) -> None:
    queries, rng = written(tmp_path / "many.jsonl", 100), random.Random(3)
    options = ["--queries", str(queries), "--samples", "4", "--seed", "9"]
    backend = f"small={url},model=slow"
    collect_command([backend], queries, tmp_path / "calm", samples=4, seed=9, concurrency=100)
    command = [
        sys.executable,
        "-m",
        "training",
        "collect",
        "--backend",
        backend,
        *options,
        "--concurrency",
        "4",
    ]
    journal = tmp_path / "killed" / "journal.jsonl"
    kills = 0
    for _ in range(10):
        rows = lines(journal) + rng.randint(1, 30)
        with subprocess.Popen(
            [*command, "--out", str(tmp_path / "killed")], stderr=subprocess.DEVNULL
        ) as process:
            while process.poll() is None and lines(journal) < rows:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.005)
            kills += process.poll() is None
            process.send_signal(signal.SIGKILL)
    assert kills == 10
    subprocess.run([*command, "--out", str(tmp_path / "killed")], check=True, capture_output=True)
    assert lines(journal) == 400
    assert drawn(tmp_path / "killed") == drawn(tmp_path / "calm")
    assert len(drawn(tmp_path / "calm")) == 400


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def test_a_torn_last_line_is_cut_off_and_drawn_again(url: str, queries: Path, tmp_path: Path) -> None:
    collect_command([f"small={url}"], queries, tmp_path / "r", samples=2)
    before, path = drawn(tmp_path / "r"), tmp_path / "r" / "journal.jsonl"
    os.truncate(path, path.stat().st_size - 20)
    assert len(list(read_rows(path))) == 11
    collect_command([f"small={url}"], queries, tmp_path / "r", samples=2)
    assert drawn(tmp_path / "r") == before


def test_a_sample_that_stands_twice_in_the_journal_counts_once(
    url: str, queries: Path, tmp_path: Path
) -> None:
    collect_command([f"small={url}"], queries, tmp_path / "r", samples=1)
    before, path = drawn(tmp_path / "r"), tmp_path / "r" / "journal.jsonl"
    path.write_bytes(path.read_bytes() * 2)
    collect_command([f"small={url}"], queries, tmp_path / "r", samples=1)
    assert drawn(tmp_path / "r") == before


def test_two_collections_do_not_write_one_journal(tmp_path: Path) -> None:
    with Journal(tmp_path), pytest.raises(TrainingError, match="another collection is writing here"):
        Journal(tmp_path)


@pytest.mark.parametrize("model", ["flaky", "dying", "plain"])
def test_a_server_that_stumbles_gives_the_same_samples(
    url: str, queries: Path, tmp_path: Path, model: str
) -> None:
    collect_command([f"small={url}"], queries, tmp_path / "good", samples=1)
    collect_command([f"small={url},model={model}"], queries, tmp_path / "r", samples=1)
    assert [row["text"] for row in drawn(tmp_path / "r")] == [row["text"] for row in drawn(tmp_path / "good")]


def test_a_refused_query_does_not_stop_the_others_and_is_reported(url: str, tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text('{"query": "a bad one"}\n{"query": "a good one"}\n')
    with pytest.raises(
        TrainingError, match=r"1 samples were refused; the last: query '[0-9a-f]{16}': .*HTTP 400.*too bad"
    ):
        collect_command([f"small={url},model=picky"], path, tmp_path / "r", samples=1)
    assert [query.query for query in Recording.load(tmp_path / "r").queries] == ["a good one"]


def test_a_server_that_answers_html_is_named(url: str, queries: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"6 samples were refused.*not an OpenAI-compatible answer"):
        collect_command([f"small={url},model=html"], queries, tmp_path / "r", samples=1)
    with pytest.raises(TrainingError, match=r"20 refused and none drawn; the last: .*: '<html>"):
        collect_command([f"small={url},model=html"], queries, tmp_path / "r", samples=4)


def test_an_unreachable_server_is_given_up_with_its_address(queries: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"gave up after 1 attempts: small \(http://127\.0\.0\.1:9\)"):
        collect_command(["small=http://127.0.0.1:9,model=m"], queries, tmp_path / "r", retries=0)


def test_an_estimate_draws_nothing(
    url: str, queries: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backend = f"small={url},price_out=10,max_tokens=100"
    collect_command([backend], queries, tmp_path / "r", samples=2, estimate=True)
    said = capsys.readouterr().err
    assert "small: 12 samples to draw of good" in said
    assert "at most 1200 output tokens and $0.012" in said
    assert lines(tmp_path / "r" / "journal.jsonl") == 0


def test_whose_prices_are_not_known_is_said_instead_of_no_dollars(
    url: str, queries: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    free, paid = f"small={url}", f"large={url},price_out=10"
    collect_command([free], queries, tmp_path / "a", samples=2, estimate=True)
    collect_command([free, paid], queries, tmp_path / "b", samples=2, max_tokens=100, estimate=True)
    first, second = (line for line in capsys.readouterr().err.splitlines() if line.startswith("at most"))
    assert "output tokens; no prices of small were given" in first
    assert "output tokens and $0.012; no prices of small were given" in second


def test_a_worst_case_above_the_limit_is_refused_before_anything_is_drawn(
    url: str, queries: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=r"worst case of \$0\.012 is above --max-dollars 0\.01"):
        collect_command(
            [f"s={url},price_out=10,max_tokens=100"], queries, tmp_path / "r", samples=2, max_dollars=0.01
        )
    assert lines(tmp_path / "r" / "journal.jsonl") == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, "has seed 0, not 1"),
        ({"temperature": 0.1}, "temperature = 0.7, not 0.1"),
        ({"max_tokens": 9}, "max_tokens = 256, not 9"),
    ],
)
def test_a_collection_is_not_continued_with_other_settings(
    url: str, queries: Path, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    collect_command([f"small={url}"], queries, tmp_path / "r", samples=1)
    with pytest.raises(TrainingError, match=words):
        collect_command([f"small={url}"], queries, tmp_path / "r", samples=2, **change)


def test_an_id_may_not_change_its_text(url: str, queries: Path, tmp_path: Path) -> None:
    collect_command([f"small={url}"], queries, tmp_path / "r", samples=1)
    queries.write_text(queries.read_text().replace("What is 2 + 2?", "What is 2 - 2?"))
    with pytest.raises(TrainingError, match="'q2' was collected with another text"):
        collect_command([f"small={url}"], queries, tmp_path / "r", samples=2)


def test_another_query_file_is_refused_before_anything_is_drawn(
    url: str, queries: Path, tmp_path: Path
) -> None:
    collect_command([f"small={url}"], queries, tmp_path / "r", samples=1)
    before = (tmp_path / "r" / "journal.jsonl").read_bytes()
    other = tmp_path / "other.jsonl"
    other.write_text('{"query": "What else?"}\n')
    with pytest.raises(TrainingError, match=r"6 of its queries are not in .*other\.jsonl, the first is 'q0'"):
        collect_command([f"small={url}"], other, tmp_path / "r", samples=1)
    assert (tmp_path / "r" / "journal.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("small", "expected NAME=http"),
        ("small=ftp://x", "expected NAME=http"),
        ("small=http://x,modle=y", "unknown option 'modle'; choose from model, prompt"),
        ("small=http://x,prompt=nope", "unknown prompt 'nope'; choose from none, direct, step"),
        ("small=http://x,max_tokens=many", "'many'"),
        ("small=http://x,api_key_env=NOT_SET_HERE", "the environment has no NOT_SET_HERE"),
    ],
)
def test_a_wrong_backend_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(TrainingError) as refused:
        parse_backend(text, Server("", "", ""))
    assert words in str(refused.value)


def test_a_backends_options_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "secret")
    server, samples = parse_backend(
        "s=https://h/v1/,model=m,samples=8,api_key_env=A_KEY,price_in=.5", Server("", "", "")
    )
    assert (server.url, server.model, samples, server.price_in) == ("https://h", "m", 8, 0.5)
    assert server.way.api_key_env == "A_KEY" and "secret" not in repr(server)


def test_entropy_is_that_of_the_alternatives_scaled_to_one() -> None:
    assert Reply(first_top=[math.log(0.2), math.log(0.2)]).first_entropy == pytest.approx(math.log(2))
    assert Reply(first_top=[0.0]).first_entropy == 0.0
    assert Reply().first_entropy is None


def test_requests_start_no_faster_than_the_rate() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def five_turns_in_no_time() -> None:
        pace = Pace(4.0, clock=lambda: 100.0, sleep=sleep)
        for _ in range(5):
            await pace.turn()

    asyncio.run(five_turns_in_no_time())
    assert slept == [0.0, 0.25, 0.5, 0.75, 1.0]
