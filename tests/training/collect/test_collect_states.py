"""Hidden states are collected with the samples, read again for recorded ones, and become a column of the recording."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiohttp import web

from predictors.observation import Piece
from predictors.vllm.asked import read_ask
from predictors.vllm.folder import StateFolder
from predictors.vllm.state_file import States, encoded
from router.backends.stub_process import StubProcess
from router.recording import Recording
from router.recordings.cost import Prices
from router.recordings.format import RecordingMeta, write_recording
from training.attach_states import attach_states, read_vectors
from training.collect.command import collect_command
from training.collect.reread import done_keys, recorded_samples, reread
from training.errors import TrainingError
from training.openai_samples import Server

PIECES = (Piece("prompt_last", 2, 8), Piece("answer_mean", 2, 8))


@pytest.fixture
def collected(tmp_path: Path) -> Recording:
    """Two samples of three queries, twice: the second command finds that all is there."""
    folder, states = tmp_path / "recording", tmp_path / "states"
    queries = tmp_path / "queries.jsonl"
    queries.write_text(
        "".join(json.dumps({"query_id": f"q{n}", "query": f"What is {n}?"}) + "\n" for n in range(3))
    )
    with StubProcess("--states", str(states)) as stub:
        for _ in range(2):
            collect_command([f"small={stub.url}"], queries=queries, out=folder, samples=2, hidden=str(states))
    assert [path for path in states.rglob("*") if path.is_file()] == []
    return Recording.load(folder)


def test_every_collected_sample_has_its_states(collected: Recording) -> None:
    vectors = [collected.hidden(row) for row in range(len(collected.columns))]
    assert [None if one is None else one.shape for one in vectors] == [(16,)] * 6
    assert collected.pieces("small") == PIECES


def test_states_that_do_not_come_are_null_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.collect.states.WAIT_S", 0.02)
    queries = tmp_path / "queries.jsonl"
    queries.write_text(json.dumps({"query": "What?"}) + "\n")
    with StubProcess() as stub:
        option = f"small={stub.url},hidden={tmp_path / 'nowhere'}"
        collect_command([option], queries=queries, out=tmp_path / "recording", samples=1)
    assert "1 samples came without hidden states" in capsys.readouterr().err
    assert "hidden" not in pq.read_schema(tmp_path / "recording" / "samples.parquet").names


# -------------------------------------------------------------------------------------------------------- read again


class Played:
    """A server that tokenizes by characters and leaves the sum of the tokens as the state."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.prompts = folder, list[list[int]]()

    async def tokenize(self, request: web.Request) -> web.Response:
        asked = await request.json()
        text = asked["prompt"] if "prompt" in asked else asked["messages"][-1]["content"]
        return web.json_response({"tokens": [ord(one) for one in text]})

    async def complete(self, request: web.Request) -> web.Response:
        asked = await request.json()
        ask = read_ask(asked["kv_transfer_params"])
        assert ask is not None and ask.split is not None
        assert asked["max_tokens"] == 1
        self.prompts.append(asked["prompt"])
        values = np.array([ask.split, sum(asked["prompt"])], "<f2").tobytes()
        states = States((("prompt_last", 1), ("answer_mean", 1)), 1, ask.split, 1, values)
        StateFolder(self.folder).put("", ask.key, 0, encoded(states))
        return web.json_response({"choices": [{"text": "x"}]})


def recorded(tmp_path: Path) -> Path:
    texts = [("ab", "stop", 3), ("abc", "length", 3), ("", "stop", 1), ("xy", "stop", 9)]
    samples = [
        {
            "query_id": f"q{at // 2}",
            "backend": "small",
            "sample_idx": at % 2,
            "text": text,
            "finish_reason": why,
        }
        | {"tokens_out": tokens, "reward": 1.0}
        for at, (text, why, tokens) in enumerate(texts)
    ]
    samples.append({**samples[0], "backend": "large"})
    queries = [{"query_id": f"q{n}", "query": "12"} for n in range(2)]
    folder = tmp_path / "recorded"
    meta = RecordingMeta("recorded", {"small": Prices(1, 1), "large": Prices(2, 2)})
    write_recording(folder, meta, pa.Table.from_pylist(queries), pa.Table.from_pylist(samples))
    return folder


def read_again(tmp_path: Path, folder: Path, journal: Path, most: int = 99) -> tuple[int, Played]:
    played = Played(tmp_path / "states")

    async def run() -> int:
        app = web.Application()
        app.add_routes([web.post("/tokenize", played.tokenize), web.post("/v1/completions", played.complete)])
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server = Server("small", f"http://127.0.0.1:{runner.addresses[0][1]}", "m", top_logprobs=0)
        work = list(recorded_samples(Recording.load(folder), "small", 2, 0))
        try:
            return await reread(
                work, server, played.folder, journal, width=1, on_query=lambda done: done < most
            )
        finally:
            await runner.cleanup()

    return asyncio.run(run()), played


def test_what_is_read_again_is_the_prompt_and_what_the_model_had_read_of_its_answer(tmp_path: Path) -> None:
    folder, journal = recorded(tmp_path), tmp_path / "journal.jsonl"
    count, played = read_again(tmp_path, folder, journal)
    assert count == 4
    spelt = sorted("".join(map(chr, prompt)) for prompt in played.prompts)
    # what was cut by length had not read its last token
    assert spelt == sorted(["12ab", "12ab", "12", "12xy"])
    exact = {
        (row["query_id"], row["sample_idx"]): row["exact"]
        for row in map(json.loads, journal.read_text().splitlines())
    }
    assert exact == {("q0", 0): True, ("q0", 1): True, ("q1", 0): True, ("q1", 1): False}


def test_a_run_that_was_stopped_goes_on_where_it_was_also_after_a_torn_line(tmp_path: Path) -> None:
    folder, journal = recorded(tmp_path), tmp_path / "journal.jsonl"
    assert read_again(tmp_path, folder, journal, most=1)[0] == 2
    with journal.open("a") as file:
        file.write('{"query_id": "q1", "sam')
    assert read_again(tmp_path, folder, journal)[0] == 2
    assert len(done_keys(journal)) == 4


def test_states_become_a_column_and_nothing_else_changes(tmp_path: Path) -> None:
    folder, journal = recorded(tmp_path), tmp_path / "journal.jsonl"
    before = pq.read_table(folder / "samples.parquet")
    read_again(tmp_path, folder, journal)
    vectors, pieces = read_vectors(journal, [("answer_mean", 1)])
    attach_states(folder, "small", vectors, pieces, "read again")
    recording = Recording.load(folder)
    table = pq.read_table(folder / "samples.parquet")
    assert table.drop_columns(["hidden"]).to_pylist() == before.to_pylist()
    found = dict(
        zip(
            zip(table["query_id"].to_pylist(), table["backend"].to_pylist(), strict=True),
            table["hidden"].to_pylist(),
            strict=True,
        )
    )
    assert found["q0", "large"] is None
    assert recording.pieces("small") == (Piece("answer_mean", 1, 1),)
    assert recording.meta.extra["hidden_note"] == "read again"


def test_a_backend_or_a_piece_that_is_not_there_is_named(tmp_path: Path) -> None:
    folder, journal = recorded(tmp_path), tmp_path / "journal.jsonl"
    row: dict[str, Any] = {"query_id": "q0", "sample_idx": 0, "pieces": [["answer_mean", 1]], "width": 1}
    journal.write_text(json.dumps(row | {"values": b64encode(bytes(2)).decode()}) + "\n")
    with pytest.raises(TrainingError, match="answer_mean"):
        read_vectors(journal, [("answer_mean", 7)])
    vectors, pieces = read_vectors(journal, [("answer_mean", 1)])
    with pytest.raises(TrainingError, match="no backend 'tiny'; choose from small, large"):
        attach_states(folder, "tiny", vectors, pieces, "")
