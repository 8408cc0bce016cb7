"""A real vLLM goes on with a growing sample's text: tentative answers, on the prefix that it has in its cache."""

from __future__ import annotations

import json

import numpy as np
import pytest

from router.recording import Recording
from training.collect.command import collect_command
from training.vllm_cpu.server import VllmServer

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(1200)]
QUERIES = 4


@pytest.fixture(scope="module")
def collected(small: VllmServer, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    folder = tmp_path_factory.mktemp("growing")
    rows = [{"query": f"How much is {n} + {n + 3}? Explain at length."} for n in range(2, 2 + QUERIES)]
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    collect_command(
        [f"small={small.url},prompt=step"],
        queries=folder / "queries.jsonl",
        out=folder / "recording",
        samples=2,
        max_tokens=48,
        snapshots="0,16,32",
    )
    return Recording.load(folder / "recording")


def test_samples_have_snapshots_at_their_check_points(collected: Recording) -> None:
    for query in collected.queries:
        for sample in collected.samples(query.query_id, "small"):
            looks = collected.snapshots(query.query_id, "small", sample.sample_idx)
            expected = [place for place in (0, 16, 32) if place < sample.tokens_out - 1]
            assert [look.prefix_tokens for look in looks][: len(expected)] == expected
            assert sample.text is not None
            texts = [look.text for look in looks]
            assert texts[0] == "" and all(text is not None and sample.text.startswith(text) for text in texts)


def test_most_of_them_have_an_answer_with_a_probability(collected: Recording) -> None:
    seen = collected.columns
    looks = ~seen.finished
    assert looks.sum() >= 2 * QUERIES
    chance = seen.confidence[looks & (seen.answer >= 0)]
    assert len(chance) >= looks.sum() / 2
    assert ((chance > 0) & (chance <= 1)).all()
    assert (seen.mean_logprob[looks & (seen.prefix_tokens > 0)] < 0).all()


def test_what_was_said_follows_the_words_that_asked_for_it(collected: Recording) -> None:
    rows = np.flatnonzero(~collected.columns.finished)
    said = [collected.value(int(row), "tentative") for row in rows]
    assert all(text.startswith("Answer:") for text in said)
    assert sum(any(letter.isdigit() for letter in text) for text in said) >= len(said) / 2
