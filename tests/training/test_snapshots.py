"""`apportion collect --snapshots`: what growing samples would answer, kept once, whatever happens to the collection."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from predictors.observation import Message, Part, Query, Sample, Sampling
from router.backends import Call
from router.backends.recorded import Recorded
from router.config import BackendConfig
from router.domain.plan import Prompt
from router.domain.usage import Meter
from router.recording import Recording
from training.check_points import CheckPoints
from training.collect.backend import parse_backend
from training.collect.command import collect_command
from training.collect.items import missing
from training.collect.journal import Journal, read_rows
from training.collect.queries import read_queries
from training.collect.run import Drawing, collect
from training.errors import TrainingError
from training.grade import grade
from training.openai_reply import Reply, Token, token_ends
from training.openai_samples import Server
from training.prompts import prompt_named
from training.tentative import elicitation, tentative_of

TIMINGS = ["first_token_s", "latency_s"]


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    return written(tmp_path / "queries.jsonl", 4)


def written(path: Path, many: int) -> Path:
    rows = [{"query_id": f"q{n}", "query": f"What is {n} + {n}?", "gold": str(n)} for n in range(many)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def drawn(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(folder / "samples.parquet").drop_columns(TIMINGS).to_pylist()
    return rows


def tokens(*spellings: str | bytes) -> list[Token]:
    raw = [text.encode() if isinstance(text, str) else text for text in spellings]
    return [Token(spelling, -0.1, 0.0) for spelling in raw]


def test_a_growing_sample_is_kept_as_far_as_its_check_points_with_its_answer_there(
    url: str, queries: Path, tmp_path: Path
) -> None:
    collect_command([f"s={url},model=long,prompt=step"], queries, tmp_path / "r", samples=2, snapshots="4")
    recording = Recording.load(tmp_path / "r")
    sample = recording.samples("q1", "s")[1]
    first, second = recording.snapshots("q1", "s", 1)
    assert (first.prefix_tokens, first.text) == (4, "So we count and")
    assert sample.text is not None and second.text is not None
    assert second.text.startswith("So we count and we add and") and sample.text.startswith(second.text)
    assert second.prefix_tokens == 8
    assert first.answer is not None and first.answer in "0123456"
    assert first.mean_logprob == pytest.approx(-(0.1 + 0.2 + 0.3 + 0.4) / 4)
    assert first.confidence == pytest.approx(math.exp(-0.1 - 0.2))  # " " and the digit, not what follows
    assert recording.value(first.row, "tentative") == f"Answer: {first.answer}."
    assert (first.tokens_in, first.tokens_out) == (sample.tokens_in, 4)
    assert 0 < first.latency_s <= second.latency_s <= sample.latency_s


def test_a_list_names_the_check_points_and_none_lies_behind_the_end(
    url: str, queries: Path, tmp_path: Path
) -> None:
    collect_command([f"s={url},model=long,snapshots=0+3+500"], queries, tmp_path / "r", samples=1)
    recording = Recording.load(tmp_path / "r")
    empty, third = recording.snapshots("q0", "s", 0)
    assert (empty.prefix_tokens, empty.text, empty.mean_logprob) == (0, "", None)
    assert empty.answer is not None and (third.prefix_tokens, third.text) == (3, "So we count")


def test_backends_that_are_not_marked_have_no_snapshots(url: str, queries: Path, tmp_path: Path) -> None:
    backends = [f"s={url},model=long", f"l={url},model=long,snapshots=0"]
    collect_command(backends, queries, tmp_path / "r", samples=1, snapshots="4")
    rows = drawn(tmp_path / "r")
    assert {row["backend"] for row in rows if row["prefix_tokens"] is not None} == {"s"}
    assert all(row["answer"] is None for row in rows if row["prefix_tokens"] is None)


@pytest.mark.timeout(300)  # four processes, each of which imports its world
def test_killed_at_random_it_keeps_the_same_snapshots(url: str, tmp_path: Path) -> None:
    queries, rng = written(tmp_path / "many.jsonl", 30), random.Random(5)
    backend = f"s={url},model=long-slow,snapshots=2"
    collect_command([backend], queries, tmp_path / "calm", samples=2, seed=9, concurrency=60)
    command = [sys.executable, "-m", "training", "collect", "--backend", backend, "--queries", str(queries)]
    command += ["--samples", "2", "--seed", "9", "--concurrency", "4", "--out", str(tmp_path / "killed")]
    journal = tmp_path / "killed" / "journal.jsonl"
    kills = 0
    for _ in range(3):
        rows = lines(journal) + rng.randint(1, 40)
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and lines(journal) < rows:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.005)
            kills += process.poll() is None
            process.send_signal(signal.SIGKILL)
    assert kills == 3
    subprocess.run(command, check=True, capture_output=True)
    calm = drawn(tmp_path / "calm")
    assert drawn(tmp_path / "killed") == calm
    assert lines(journal) == len(calm) > 60 * 4


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def test_looks_that_are_missing_are_made_up_for_without_drawing_the_sample_again(
    url: str, queries: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backend, path = f"s={url},model=long,snapshots=2", tmp_path / "r" / "journal.jsonl"
    collect_command([backend], queries, tmp_path / "r", samples=1, limit=1)
    before = drawn(tmp_path / "r")
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole[:2]) + whole[2][:9])  # the sample, one snapshot, and a torn one
    capsys.readouterr()
    collect_command([backend], queries, tmp_path / "r", samples=1, limit=1)
    said = capsys.readouterr().err
    assert f"s: 0 samples to draw and at most {len(whole) - 2} snapshots of long" in said
    assert f"0 drawn, {len(whole) - 2} snapshots" in said
    assert drawn(tmp_path / "r") == before


def test_the_estimate_counts_the_looks(
    url: str, queries: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backend = f"s={url},model=long,price_in=1,price_out=10,max_tokens=9"
    collect_command([backend], queries, tmp_path / "r", samples=2, snapshots="4", estimate=True)
    said = capsys.readouterr().err
    assert "s: 8 samples to draw and at most 16 snapshots of long" in said
    tokens_in = 8 * 3 * (14 / 4 + 64) + 8 * (4 + 8)  # three prompts of 14 characters, and two prefixes
    tokens_out = 8 * 9 + 16 * 20
    assert f"at most {tokens_out} output tokens and ${(tokens_in + tokens_out * 10) / 1e6:.4f}" in said
    assert lines(tmp_path / "r" / "journal.jsonl") == 0


def test_the_bar_counts_looks_and_ends_full(url: str, queries: Path, tmp_path: Path) -> None:
    server = Server("s", url, "long", max_tokens=40, check_points=CheckPoints(every=4))
    drawing, told = Drawing(samples=2, seed=1, concurrency=2), []
    with Journal(tmp_path / "r") as journal:
        work = [list(missing(read_queries(queries), server, 2, journal))]
        requests = sum(item.requests for item in work[0])
        progress = asyncio.run(
            collect(work, journal, drawing, lambda now: told.append((now.drawn, now.looked, now.spared)))
        )
        assert list(missing(read_queries(queries), server, 2, journal)) == []
    assert requests == 8 * (1 + 9)
    assert progress.spared > 0 and progress.drawn + progress.looked == requests - progress.spared
    assert len(told) == progress.drawn + progress.looked
    shares = [(drawn + looked) / (requests - spared) for drawn, looked, spared in told]
    assert shares == sorted(shares) and shares[-1] == 1.0


def test_samples_whose_tokens_do_not_spell_their_text_are_kept_and_told(
    url: str, queries: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    collect_command([f"s={url},model=plain"], queries, tmp_path / "r", samples=1, snapshots="1")
    assert "4 samples have no snapshots: no log-probabilities came" in capsys.readouterr().err
    assert len(drawn(tmp_path / "r")) == 4


def test_a_server_that_cannot_go_on_with_a_message_is_named(url: str, tmp_path: Path) -> None:
    queries = written(tmp_path / "q.jsonl", 20)
    with pytest.raises(TrainingError, match=r"a server for --snapshots takes continue_final_message; .*400"):
        collect_command([f"s={url},model=long-strict"], queries, tmp_path / "r", samples=1, snapshots="4")


def test_a_collection_is_not_continued_with_other_check_points(
    url: str, queries: Path, tmp_path: Path
) -> None:
    collect_command([f"s={url},model=long"], queries, tmp_path / "r", samples=1, snapshots="4")
    for other in ("", "5", "4,8"):
        with pytest.raises(TrainingError, match=f"collected with snapshots = '4', not '{other}'"):
            collect_command([f"s={url},model=long"], queries, tmp_path / "r", samples=1, snapshots=other)


def test_a_snapshot_is_graded_by_what_it_would_have_answered(url: str, queries: Path, tmp_path: Path) -> None:
    collect_command([f"s={url},model=long"], queries, tmp_path / "r", samples=4, snapshots="2")
    for _ in range(2):  # grading again changes nothing
        grade(tmp_path / "r", ["exact:number"])
        rows = drawn(tmp_path / "r")
        looks = [row for row in rows if row["prefix_tokens"] is not None]
        assert {row["reward"] for row in looks} == {0.0, 1.0}
        for row in looks:
            assert row["tentative"] == f"The answer is {row['answer']}."
            assert row["reward"] == float(row["answer"] == row["query_id"][1:])


async def test_the_recorded_backend_serves_the_snapshots(url: str, queries: Path, tmp_path: Path) -> None:
    backends = [f"s={url},model=long"]
    await asyncio.to_thread(collect_command, backends, queries, tmp_path / "r", samples=1, snapshots="4")
    backend = Recorded("s", BackendConfig(kind="recorded", recording=str(tmp_path / "r")))
    query = Query("r", (Message("user", (Part(text="What is 2 + 2?"),)),))
    call = Call(query, 0, Sampling(max_tokens=256), Prompt(), max_samples=1, width=1, seed=1, growing=True)
    events = [event async for event in backend.sample(call, Meter())]
    samples = [event for event in events if isinstance(event, Sample)]
    assert [(sample.prefix_tokens, sample.finished) for sample in samples] == [
        (4, False),
        (8, False),
        (None, True),
    ]
    assert all(sample.answer and sample.confidence for sample in samples[:2])


@pytest.mark.parametrize(
    ("text", "spelled", "ends"),
    [
        ("ab c", tokens("ab", " c"), (2, 4)),
        ("ab", tokens("a", "b", "<|end|>"), (1, 2)),
        ("é!", tokens(b"\xc3", b"\xa9", "!"), (0, 1, 2)),  # the bytes of one character
        ("a🙂b", tokens("a", "\ufffd", "\ufffd", "b"), (1, 1, 1, 3)),  # which the server could not spell
        ("a🙂", tokens("a", "\ufffd", "\ufffd"), (1, 1, 1)),
        ("", [], ()),
        ("ab", [], None),
        ("ab", tokens("a", "x"), None),
        ("ab", tokens("a"), None),
        ("answer", tokens("<think>", "hm", "answer"), None),  # a thought that was taken out
    ],
)
def test_tokens_are_laid_on_the_text(text: str, spelled: list[Token], ends: tuple[int, ...] | None) -> None:
    assert token_ends(text, spelled) == ends


@pytest.mark.parametrize(
    ("prompt", "text", "end", "asked"),
    [
        ("none", "So we see", 2, "\n\nThe answer is"),
        ("step", "So we see", 2, "\nAnswer:"),
        ("step", "So we see", 0, "Answer:"),
        ("step", "<think>So we see</think> 4", 9, "\n</think>\n\nAnswer:"),
        ("step", "So we see</think> 4", 2, "\n</think>\n\nAnswer:"),  # the template began the thought
        ("step", "<think>So</think> It is 4", 22, "\nAnswer:"),
    ],
)
def test_an_open_thought_is_closed_before_the_answer_is_asked_for(
    prompt: str, text: str, end: int, asked: str
) -> None:
    assert elicitation(Server("s", "", "", prompt_named(prompt)), text, end) == asked


@pytest.mark.parametrize(
    ("reply", "answer", "confidence"),
    [
        (Reply(" 42. So", tokens=tokens(" 4", "2", ".", " So")), "42", math.exp(-0.2)),
        (Reply("\n 42\nSo", tokens=tokens("\n", " 42", "\n", "So")), "42", math.exp(-0.2)),
        (Reply(" 42"), "42", None),
        (Reply("\n"), None, None),
    ],
)
def test_the_answer_is_in_the_first_line_and_its_probability_is_that_of_its_tokens(
    reply: Reply, answer: str | None, confidence: float | None
) -> None:
    now = tentative_of("\n</think>\n\nAnswer:", reply)
    assert (now.answer, now.confidence) == (answer, confidence and pytest.approx(confidence))
    assert now.said.startswith("Answer:")


@pytest.mark.parametrize(
    ("text", "before_100"),
    [("", ()), ("0", ()), ("40", (40, 80)), ("100", ()), ("0,64", (0, 64)), ("64,32,200", (32, 64))],
)
def test_check_points_lie_before_the_end(text: str, before_100: tuple[int, ...]) -> None:
    points = CheckPoints.parse(text)
    assert points.before(100) == before_100
    assert CheckPoints.parse(str(points)) == points


@pytest.mark.parametrize("text", ["many", "-4", "4,", "1.5", "4+8"])
def test_check_points_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(TrainingError, match="snapshots: expected N"):
        CheckPoints.parse(text)


def test_check_points_of_one_backend_are_joined_by_a_plus() -> None:
    server, _ = parse_backend("s=http://h,snapshots=8+4", Server("", "", ""))
    assert server.check_points == CheckPoints(at=(4, 8))
    with pytest.raises(TrainingError, match=r"snapshots: expected N .*, got '8;4'"):
        parse_backend("s=http://h,snapshots=8;4", Server("", "", ""))


def test_the_journal_has_one_row_per_look(url: str, queries: Path, tmp_path: Path) -> None:
    collect_command([f"s={url},model=long"], queries, tmp_path / "r", samples=1, snapshots="4")
    path = tmp_path / "r" / "journal.jsonl"
    rows = list(read_rows(path))
    path.write_bytes(path.read_bytes() * 2)
    assert list(read_rows(path)) == rows
    assert len(rows) == lines(path) // 2 > 4
