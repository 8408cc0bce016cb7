"""States at the looks of the house traces: how they are asked for, and what ships."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from predictors.observation import Piece
from predictors.vllm.state_file import States
from router.recording import Recording
from training.collect.look_states import Trace, rows_read, states_at_looks, traces_of
from training.house_trace_states import AT, LAYERS, OUT, ship, vectors_of
from training.house_traces import RECORDINGS, TRACES
from training.openai_samples import Server

PROMPT, WIDTH = 5, 2
PLACES = tuple(range(16, 16 * 19, 16))  # 18 looks: two requests


@dataclass(slots=True)
class Hand:
    """A server whose value vector at a position and layer is (position, layer)."""

    spelt: int  # tokens of every answer
    server: Server = field(default_factory=lambda: Server("large", "", "model"))
    folder: Path = Path("/nowhere")
    asked: list[Mapping[str, Any]] = field(default_factory=list)

    async def tokens(self, asked: Mapping[str, Any]) -> list[int]:
        return list(range(PROMPT if "messages" in asked else self.spelt))

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append(body)
        return {}

    async def states(self, path: Path) -> States:
        marks = self.asked[-1]["kv_transfer_params"]["apportion"]["marks"]
        pieces = tuple((f"value_mark:{mark}", layer) for layer in LAYERS for mark in marks)
        numbers = [(float(part.partition(":")[2]), layer) for part, layer in pieces]
        return States(pieces, WIDTH, PROMPT, 1, np.array(numbers, "<f2").tobytes())


def read(spelt: int) -> tuple[dict[str, Any], Hand]:
    hand = Hand(spelt)
    trace = Trace("q", "how many?", 0, "some text", tokens_out=310, places=PLACES)
    return asyncio.run(states_at_looks(hand, trace, LAYERS)), hand  # type: ignore[arg-type]


def test_every_look_gets_the_state_of_the_last_token_before_it_at_every_layer():
    row, _ = read(spelt=309)
    found = np.frombuffer(b64decode(row["values"]), "<f2").reshape(len(PLACES), len(LAYERS), WIDTH)
    assert found[:, :, 0].tolist() == [[PROMPT + place - 1] * len(LAYERS) for place in PLACES]
    assert found[:, :, 1].tolist() == [list(LAYERS)] * len(PLACES)


def test_sixteen_looks_take_one_request_that_generates_a_single_token():
    _, hand = read(spelt=309)
    assert [len(one["prompt"]) for one in hand.asked] == [PROMPT + PLACES[15], PROMPT + PLACES[17]]
    assert {one["max_tokens"] for one in hand.asked} == {1}


def test_a_text_that_is_spelt_by_other_tokens_has_no_states():
    row, hand = read(spelt=300)
    assert row["values"] is None
    assert not hand.asked
    assert vectors_of([row]) == {}


def test_a_torn_last_line_of_the_journal_is_left_out(tmp_path: Path):
    (tmp_path / "states.jsonl").write_text('{"query_id": "a"}\n{"query_id": "b')
    assert rows_read(tmp_path / "states.jsonl") == [{"query_id": "a"}]
    assert rows_read(tmp_path / "none.jsonl") == []


def test_what_was_read_stands_in_the_snapshots_and_nowhere_else(tmp_path: Path):
    row, _ = read(spelt=309)
    shipped = Recording.load(RECORDINGS / TRACES.name)
    first = next(traces_of(shipped, TRACES.backend))
    some = row | {"query_id": first.query_id, "places": PLACES[:2]}
    values = b64decode(row["values"])[: 2 * len(LAYERS) * WIDTH * 2]
    (tmp_path / "states.jsonl").write_text(json.dumps(some | {"values": b64encode(values).decode()}) + "\n")
    ship(RECORDINGS / TRACES.name, tmp_path / "with", tmp_path / "states.jsonl")
    made = Recording.load(tmp_path / "with")
    vectors = [made.hidden(row) for row in range(len(made.columns))]
    assert [made.columns.prefix_tokens[at] for at, one in enumerate(vectors) if one is not None] == [16, 32]
    assert made.pieces(TRACES.backend) == tuple(Piece(AT, layer, WIDTH) for layer in LAYERS)


@pytest.fixture(scope="module")
def with_states() -> Recording:
    return Recording.load(OUT)


def test_nearly_all_looks_of_the_traces_that_ship_have_states(with_states: Recording):
    seen = with_states.columns
    looks = np.flatnonzero(~seen.finished)
    vectors = [with_states.hidden(int(row)) for row in looks]
    assert sum(one is not None for one in vectors) >= 0.85 * len(looks)
    assert all(np.isfinite(one).all() and one.any() for one in vectors if one is not None)
    assert sum(piece.width for piece in with_states.pieces(TRACES.backend)) == 384


def test_apart_from_the_states_they_are_the_house_traces(with_states: Recording):
    plain = Recording.load(RECORDINGS / TRACES.name)
    assert with_states.queries == plain.queries
    for name in ("query", "sample_idx", "prefix_tokens", "reward", "tokens_out"):
        assert (getattr(with_states.columns, name) == getattr(plain.columns, name)).all()
