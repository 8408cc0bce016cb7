"""The recording of growing samples: what it is made of, and that it can be made again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from router.recording import Recording
from training.collect.backend import parse_backend
from training.collect.queries import read_queries
from training.house_traces import EVERY, RECORDINGS, SEED, TRACES, house_traces
from training.openai_samples import Server
from training.workload.generate import workload


def row(
    query_id: str, mark: str, tokens: int, looks: tuple[int, ...] = (), growth: tuple[int, ...] = ()
) -> list[str]:
    """A journal's lines: a sample with check-points, and those that were looked at."""
    own = {"query_id": query_id, "backend": TRACES.backend, "sample_idx": 0, "mark": mark, "params": "{}"}
    text = "so Answer: 1"
    points = [{"prefix_tokens": place, "end": 2, "mean_logprob": -0.1, "at_s": 0.1} for place in growth]
    whole = own | {
        "text": text,
        "tokens_in": 9,
        "tokens_out": tokens,
        "finish_reason": "stop",
        "growth": points,
    }
    snapshots = [
        own | {"prefix_tokens": place, "text": "so", "tokens_in": 9, "answer": "1"} for place in looks
    ]
    return [json.dumps(one) for one in (whole, *snapshots)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two samples are looked at whole, one is not."""
    from training.collect.journal import text_mark

    questions = TRACES.questions()[:3]
    marks = [text_mark(question.query) for question in questions]
    lines = [
        *row(questions[0].query_id, marks[0], 40, (16, 32), (16, 32)),
        *row(questions[1].query_id, marks[1], 10),
        *row(questions[2].query_id, marks[2], 40, (16,), (16, 32)),
    ]
    (tmp_path / "journal.jsonl").write_text("".join(f"{line}\n" for line in lines))
    backends = {TRACES.backend: {"price_in": 0.6, "price_out": 1.2}}
    (tmp_path / "run.json").write_text(json.dumps({"seed": SEED, "backends": backends}))
    return tmp_path


def test_the_server_is_asked_as_the_recipe_says():
    server, samples = parse_backend(TRACES.backend_option("http://127.0.0.1:9"), Server("", "", ""))
    assert (server.name, server.prompt.name, server.max_tokens, samples) == ("large-check", "check", 448, 1)
    assert server.check_points.every == EVERY


def test_only_samples_that_were_looked_at_whole_are_written(folder, tmp_path):
    house_traces(folder=folder, out=tmp_path / "house-traces", limit=0, url="", finish_only=True)
    made = Recording.load(tmp_path / "house-traces")
    asked = read_queries(folder / "workload.jsonl")
    assert [query.query_id for query in made.queries] == [query.query_id for query in asked[:2]]
    assert made.columns.prefix_tokens[~made.columns.finished].tolist() == [16, 32]
    assert np.isfinite(made.columns.reward).all()
    assert made.meta.licence == "Apache-2.0"
    assert made.meta.extra["made_by"] == "make recording-traces"


def test_a_longer_workload_begins_with_the_shorter_one(folder):
    assert [one.query_id for one in workload(2, SEED, TRACES.kinds)] == [
        one.query_id for one in TRACES.questions()[: 2 * len(TRACES.kinds)]
    ]


@pytest.fixture(scope="module")
def shipped() -> Recording:
    return Recording.load(RECORDINGS / TRACES.name)


def test_the_shipped_traces_are_long_enough_and_mostly_right(shipped: Recording):
    seen = shipped.columns
    assert seen.finished.sum() >= 500
    cut = sum(shipped.value(int(row), "finish_reason") == "length" for row in np.flatnonzero(seen.finished))
    assert seen.finished.sum() - cut >= 400
    assert seen.reward[seen.finished].mean() >= 0.4
    assert np.isfinite(seen.reward).all()
    assert seen.tokens_out[seen.finished].mean() >= 120


def test_the_shipped_traces_have_snapshots_at_every_check_point(shipped: Recording):
    seen = shipped.columns
    places = seen.prefix_tokens[~seen.finished]
    assert (places % EVERY == 0).all()
    per_trace = [len(shipped.snapshots(query.query_id, TRACES.backend, 0)) for query in shipped.queries]
    assert np.median(per_trace) >= 8
    assert (np.isfinite(seen.confidence[~seen.finished])).mean() > 0.9


def test_they_are_small_enough_to_ship():
    assert sum(file.stat().st_size for file in (RECORDINGS / TRACES.name).iterdir()) < 3e6
