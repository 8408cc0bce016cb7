"""A recorded sample that is longer than `max_tokens` allows is served as cut."""

from __future__ import annotations

from typing import Any

import pytest

from predictors.observation import Sampling
from router.backends.recorded import Recorded
from router.backends.recording_shelf import RecordingShelf
from router.config import BackendConfig

QUERIES = [{"query_id": "a", "query": "What is 2 + 2?", "task": "sum", "gold": "4"}]


def row(**columns: Any) -> dict[str, Any]:
    known: dict[str, Any] = {
        "query_id": "a",
        "backend": "small",
        "sample_idx": 0,
        "prefix_tokens": None,
        "text": "Two and two. The answer is 4.",
        "answer": "4",
        "reward": 1.0,
        "tokens_in": 12,
        "tokens_out": 10,
        "first_token_s": 0.5,
        "latency_s": 2.5,
        "confidence": 0.9,
        "mean_logprob": -0.25,
        "first_entropy": 0.5,
        "finish_reason": "stop",
    }
    return known | columns


@pytest.fixture
def cut(record, make_call, draw):
    """`await cut([row()], max_tokens=5)`."""

    async def run(samples: list[dict[str, Any]], max_tokens: int | None, **call: Any) -> Any:
        folder = record(QUERIES, samples)
        config = BackendConfig(kind="recorded", recording=folder.name)
        backend = Recorded("small", config, RecordingShelf(folder.parent))
        return await draw(backend, make_call(sampling=Sampling(max_tokens=max_tokens), **call))

    return run


async def test_only_what_was_allowed_is_served_and_charged(cut):
    drawn = await cut([row()], 5)
    (sample,) = drawn.samples
    assert (sample.tokens_out, sample.finish_reason, sample.text) == (5, "length", "Two and two. T")
    assert drawn.meter.by_backend["small"].tokens_out == 5
    assert (sample.first_token_s, sample.latency_s) == (0.5, 1.5)


async def test_what_is_known_of_the_whole_alone_is_left_out(cut):
    (sample,) = (await cut([row()], 5)).samples
    assert (sample.answer, sample.mean_logprob, sample.confidence, sample.hidden) == (None,) * 4
    assert (sample.first_entropy, sample.tokens_in) == (0.5, 12)


@pytest.mark.parametrize("limit", [10, 11, None])
async def test_a_sample_within_the_limit_is_served_whole(cut, limit):
    (sample,) = (await cut([row()], limit)).samples
    assert (sample.tokens_out, sample.answer, sample.finish_reason) == (10, "4", "stop")


async def test_an_answer_without_its_text_is_not_given_away(cut):
    (sample,) = (await cut([row(text=None)], 5)).samples
    assert (sample.text, sample.answer) == ("", None)


async def test_a_length_that_is_only_guessed_cuts_nothing(cut):
    (sample,) = (await cut([row(tokens_out=None)], 2)).samples
    assert (sample.answer, sample.finish_reason) == ("4", "stop")


async def test_the_snapshot_at_the_limit_says_the_text_and_later_ones_never_come(cut):
    looks = [row(prefix_tokens=place, text=f"Two, {place} tokens", answer="3") for place in (3, 5, 7)]
    drawn = await cut([row(), *looks], 5, growing=True)
    assert [sample.prefix_tokens for sample in drawn.growing] == [3]
    assert (drawn.samples[0].text, drawn.samples[0].answer) == ("Two, 5 tokens", None)
