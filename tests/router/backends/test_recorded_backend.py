"""A recording is served as a backend would have answered, at any pace."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest

from predictors.observation import Piece, Sample
from router.backends.recorded import QUERY_ID, Recorded, drawing_order
from router.backends.recording_shelf import RecordingShelf
from router.config import BackendConfig
from router.domain.usage import Meter, Usage
from router.errors import BackendUnavailable, NotRecorded

QUERIES = [
    {"query_id": "a", "query": "What is 2 + 2?", "task": "sum", "gold": "4"},
    {"query_id": "b", "query": "Capital of France", "task": "capital", "gold": "Paris"},
    {"query_id": "c", "query": "Capital of France", "task": "capital", "gold": "Paris"},
]


def row(query_id: str, index: int, **columns: Any) -> dict[str, Any]:
    known: dict[str, Any] = {
        "query_id": query_id,
        "backend": "small",
        "sample_idx": index,
        "prefix_tokens": None,
        "text": f"{query_id} says number {index}, at some length.",
        "answer": str(index),
        "reward": float(index % 2),
        "tokens_in": 12,
        "tokens_out": 10,
        "first_token_s": 0.5,
        "latency_s": 1.5 + index,
        "confidence": None,
        "mean_logprob": None,
        "first_entropy": None,
        "finish_reason": None,
    }
    return known | columns


MANY = [row("a", index) for index in range(8)] + [row("b", 0)]
TRACE = [
    row("a", 0, tokens_out=300, latency_s=6.5),
    row("a", 0, prefix_tokens=100, answer="3", text="hm", confidence=0.25, tokens_out=300),
    row("a", 0, prefix_tokens=200, answer="4", text="hm hm", confidence=0.75, tokens_out=300),
]


@pytest.fixture
def serve(record):
    def make(
        samples: list[dict[str, Any]], queries: list[dict[str, Any]] = QUERIES, **config: Any
    ) -> Recorded:
        folder = record(queries, samples)
        options: dict[str, Any] = {"kind": "recorded", "recording": folder.name}
        return Recorded("small", BackendConfig(**(options | config)), RecordingShelf(folder.parent))

    return make


async def test_a_vector_comes_with_what_meta_says_it_is_made_of_where_its_width_agrees(
    record, make_call, draw
):
    folder = record(QUERIES, [row("a", 0, hidden=[0.5, 1.0]), row("a", 1, hidden=[0.5, 1.0, 2.0])])
    meta = json.loads((folder / "meta.json").read_text())
    meta["hidden"] = {"small": [{"part": "answer_mean", "layer": 3, "width": 2}]}
    (folder / "meta.json").write_text(json.dumps(meta))
    config = BackendConfig(kind="recorded", recording=folder.name)
    served = Recorded("small", config, RecordingShelf(folder.parent))
    samples = (await draw(served, make_call(max_samples=2))).samples
    made_of = {len(sample.hidden): sample.pieces for sample in samples}
    assert made_of == {2: (Piece("answer_mean", 3, 2),), 3: ()}


async def test_a_sample_carries_what_was_recorded(serve, make_call, draw):
    recorded = row("a", 3, mean_logprob=-0.25, first_entropy=0.5, confidence=0.75, finish_reason="length")
    (sample,) = (await draw(serve([recorded]), make_call())).samples
    assert sample == Sample(
        sample_id="0.0",
        backend="small",
        text="a says number 3, at some length.",
        index=3,
        finish_reason="length",
        tokens_in=12,
        tokens_out=10,
        mean_logprob=-0.25,
        first_entropy=0.5,
        confidence=0.75,
        first_token_s=0.5,
        latency_s=4.5,
        answer="3",
    )


async def test_drawing_is_without_replacement_and_ends_when_nothing_is_left(serve, make_call, draw):
    drawn = await draw(serve(MANY), make_call(max_samples=20, width=3))
    assert sorted(sample.index for sample in drawn.samples) == list(range(8))


async def test_another_seed_draws_in_another_order(serve, make_call, draw):
    backend = serve(MANY)
    orders = {
        tuple(one.index for one in (await draw(backend, make_call(max_samples=8, seed=seed))).samples)
        for seed in range(5)
    }
    assert len(orders) > 1


def test_the_drawing_order_never_changes_between_versions():
    assert drawing_order(8, seed=11) == [6, 0, 3, 4, 7, 1, 5, 2]


async def test_without_rewards_and_gold_the_same_samples_come(serve, record, make_call, draw):
    backend = serve(MANY)
    blind_queries = [query | {"gold": None} for query in QUERIES]
    blind_samples = [sample | {"reward": None} for sample in MANY]
    folder = record(blind_queries, blind_samples, "blind")
    blind = Recorded(
        "small", BackendConfig(kind="recorded", recording="blind"), RecordingShelf(folder.parent)
    )
    call = make_call(max_samples=6, width=2, stream=True)
    seen, unseen = await draw(backend, call), await draw(blind, call)
    assert (seen.samples, seen.deltas, seen.meter) == (unseen.samples, unseen.deltas, unseen.meter)


async def test_flipped_rewards_change_nothing(serve, record, make_call, draw):
    flipped = [sample | {"reward": 1.0 - sample["reward"]} for sample in MANY]
    folder = record(QUERIES, flipped, "flipped")
    other = Recorded(
        "small", BackendConfig(kind="recorded", recording="flipped"), RecordingShelf(folder.parent)
    )
    call = make_call(max_samples=6, width=2)
    assert (await draw(serve(MANY), call)).samples == (await draw(other, call)).samples


async def test_a_query_is_found_by_its_id_whatever_its_text(serve, make_call, draw):
    call = make_call("something else", query={"metadata": {QUERY_ID: "b"}})
    assert (await draw(serve(MANY), call)).samples[0].text.startswith("b says")


@pytest.mark.parametrize(
    ("text", "metadata", "says"),
    [
        ("Capital of France", {}, "2 queries with this text.*from b, c$"),
        ("unheard of", {}, "no query with this text.*from a, b, c$"),
        ("What is 2 + 2?", {QUERY_ID: "z"}, "no query 'z'"),
        ("", {QUERY_ID: "c"}, "no sample of 'small' for 'c'"),
    ],
)
async def test_a_query_that_is_not_there_is_told_with_the_choices(
    serve, make_call, draw, text, metadata, says
):
    with pytest.raises(NotRecorded, match=says):
        await draw(serve(MANY), make_call(text, query={"metadata": metadata}))


async def test_without_a_text_the_answer_is_the_text(serve, make_call, draw):
    (sample,) = (await draw(serve([row("a", 0, text=None, answer="4")]), make_call())).samples
    assert (sample.text, sample.answer) == ("4", "4")


async def test_with_neither_text_nor_answer_the_sample_is_empty(serve, make_call, draw):
    (sample,) = (await draw(serve([row("a", 0, text=None, answer=None)]), make_call(stream=True))).samples
    assert (sample.text, sample.answer) == ("", None)


async def test_missing_tokens_and_times_are_filled_by_the_cost_rule(serve, make_call, draw):
    bare = {"query_id": "a", "backend": "small", "sample_idx": 0, "text": "x" * 400}
    (sample,) = (await draw(serve([bare]), make_call())).samples
    assert (sample.tokens_out, sample.tokens_in) == (100, round(14 / 4))
    assert (sample.first_token_s, sample.latency_s) == pytest.approx((0.2, 0.2 + 100 / 50))


async def test_deltas_join_to_the_text_and_count_its_tokens(serve, make_call, draw):
    drawn = await draw(serve(MANY), make_call(stream=True, max_samples=3, width=3))
    for sample in drawn.samples:
        mine = [delta for delta in drawn.deltas if delta.sample_id == sample.sample_id]
        assert "".join(delta.text for delta in mine) == sample.text
        assert sum(delta.tokens for delta in mine) == sample.tokens_out == len(mine)


async def test_faster_samples_come_first_also_at_pace_zero(serve, make_call, draw):
    drawn = await draw(serve(MANY), make_call(max_samples=8, width=8))
    assert [sample.index for sample in drawn.samples] == list(range(8))  # by latency


async def test_at_pace_zero_the_event_loop_never_gets_a_turn(serve, make_call, draw):
    backend = serve(MANY)
    await draw(backend, make_call())  # now it is read
    turns: list[int] = []
    asyncio.get_running_loop().call_soon(turns.append, 1)
    await draw(backend, make_call(max_samples=8, width=4, stream=True))
    assert turns == []


async def test_the_order_at_a_pace_is_the_order_at_pace_zero(serve, make_call, draw):
    call = make_call(max_samples=6, width=2)
    at_once = await draw(serve(MANY), call)
    paced = await draw(serve(MANY, pace=100.0), call)
    assert at_once.samples == paced.samples


async def test_a_pace_makes_it_wait(serve, make_call, draw):
    loop = asyncio.get_running_loop()
    began = loop.time()
    await draw(serve([row("a", 0, latency_s=2.0)], pace=10.0), make_call())
    assert loop.time() - began >= 0.19


async def test_whole_samples_are_booked_before_they_come(serve, make_call):
    meter = Meter()
    async with aclosing(serve(MANY).sample(make_call(max_samples=8, width=4), meter)) as events:
        await anext(events)
        await anext(events)
        assert meter.by_backend["small"] == Usage(tokens_in=24, tokens_out=20, samples=2)
    assert meter.by_backend["small"] == Usage(tokens_in=24, tokens_out=20, samples=2)


async def test_a_sample_cut_at_a_pace_costs_the_share_that_came(serve, make_call):
    slow = [
        row("a", index, text="x" * 1000, tokens_out=1000, first_token_s=0.0, latency_s=1000.0)
        for index in range(2)
    ]
    meter = Meter()
    backend = serve(slow, pace=1000.0)  # a token per millisecond
    events = backend.sample(make_call(max_samples=2, width=2, stream=True), meter)
    for _ in range(40):
        await anext(events)
    await events.aclose()
    usage = meter.by_backend["small"]
    assert (usage.tokens_in, usage.samples) == (24, 2)
    assert 40 <= usage.tokens_out < 2000


async def test_a_sample_cut_before_its_first_token_costs_its_prompt(serve, make_call):
    meter = Meter()
    backend = serve([row("a", 0, first_token_s=500.0, latency_s=600.0)], pace=1.0)
    await backend._recording()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), aclosing(backend.sample(make_call(), meter)) as events:
            await anext(events)
    assert meter.by_backend["small"] == Usage(tokens_in=12, tokens_out=0, samples=1)


async def test_snapshots_come_before_the_whole_with_what_was_spent(serve, make_call, draw):
    drawn = await draw(serve(TRACE), make_call(growing=True))
    assert [(one.prefix_tokens, one.tokens_out, one.answer, one.confidence) for one in drawn.growing] == [
        (100, 100, "3", 0.25),
        (200, 200, "4", 0.75),
    ]
    assert all(not one.finish_reason and one.latency_s is None for one in drawn.growing)
    assert drawn.samples[0].tokens_out == 300
    assert drawn.usage == Usage(tokens_in=12, tokens_out=340, side_calls=2, samples=1)


async def test_a_trace_stopped_at_a_snapshot_costs_its_prefix_and_the_looks(serve, make_call):
    meter = Meter()
    async with aclosing(serve(TRACE).sample(make_call(growing=True), meter)) as events:
        await anext(events)
        await anext(events)
    assert meter.by_backend["small"] == Usage(tokens_in=12, tokens_out=240, side_calls=2, samples=1)


async def test_without_growing_no_snapshot_is_looked_at(serve, make_call, draw):
    drawn = await draw(serve(TRACE), make_call())
    assert drawn.growing == []
    assert drawn.usage == Usage(tokens_in=12, tokens_out=300, samples=1)


async def test_a_pruned_trace_is_cut_and_the_next_one_starts(serve, make_call):
    traces = TRACE + [sample | {"sample_idx": 1} for sample in TRACE]
    call, meter, seen = make_call(growing=True, max_samples=2), Meter(), []
    async with aclosing(serve(traces).sample(call, meter)) as events:
        async for event in events:
            assert isinstance(event, Sample)
            seen.append((event.sample_id, event.prefix_tokens))
            call.pruned.add("0.0")
    assert seen == [("0.0", 100), ("0.1", 100), ("0.1", 200), ("0.1", None)]
    assert meter.by_backend["small"] == Usage(tokens_in=24, tokens_out=120 + 340, side_calls=3, samples=2)


async def test_a_folder_that_is_no_recording_is_unavailable(make_call, draw, tmp_path):
    backend = Recorded("small", BackendConfig(kind="recorded", recording="gone"), RecordingShelf(tmp_path))
    with pytest.raises(BackendUnavailable, match="not a recording"):
        await draw(backend, make_call())


async def test_a_backend_that_is_not_recorded_is_told_with_the_choices(serve, make_call, draw):
    with pytest.raises(BackendUnavailable, match="no backend 'medium'; it has small, large"):
        await draw(serve(MANY, recorded_as="medium"), make_call())


async def test_a_recording_is_read_once_for_all(record):
    folder = record(QUERIES, MANY)
    shelf = RecordingShelf(folder.parent)
    first, second = await asyncio.gather(shelf.take(folder.name), shelf.take(folder.name))
    assert first is second is shelf.held(folder.name) is shelf.read(folder.name)
