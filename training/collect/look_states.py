"""States of recorded traces at every look: a trace is read again in one request per 16 looks.

Each look is a mark at the last token before it (`predictors.vllm.asked`). A trace whose text is spelt by other tokens
than were generated, where places would mean other tokens, is not read.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from predictors.vllm.asked import MOST_MARKS, ask_params
from predictors.vllm.state_file import state_path
from router.recording import Recording
from training.append_only import AppendOnlyLines, whole_lines
from training.collect.reread import Reread, done_keys
from training.openai_samples import Server

WIDTH = 8  # traces that are read at the same time


@dataclass(frozen=True, slots=True)
class Trace:
    """One finished sample and where it was looked at."""

    query_id: str
    query: str
    sample_idx: int
    text: str
    tokens_out: int
    places: tuple[int, ...]  # tokens at each look, >= 1


def traces_of(recording: Recording, backend: str) -> Iterator[Trace]:
    """Those that ended by themselves and have looks."""
    for query in recording.queries:
        for sample in recording.samples(query.query_id, backend):
            looks = recording.snapshots(query.query_id, backend, sample.sample_idx)
            places = tuple(look.prefix_tokens for look in looks if look.prefix_tokens)
            if places and sample.text and sample.finish_reason == "stop":
                yield Trace(
                    query.query_id,
                    query.query,
                    sample.sample_idx,
                    sample.text,
                    int(sample.tokens_out),
                    places,
                )


async def states_at_looks(reader: Reread, trace: Trace, layers: Sequence[int]) -> dict[str, Any]:
    """The journal's row: `values` of every look, one after the other, None where the text is spelt otherwise."""
    prompt = await reader.tokens({"messages": reader.server.body(trace.query, 0)["messages"]})
    text = await reader.tokens({"prompt": trace.text, "add_special_tokens": False})
    row: dict[str, Any] = {"query_id": trace.query_id, "sample_idx": trace.sample_idx, "values": None}
    if len(text) + 1 != trace.tokens_out:  # its last token, the end, is not in the text
        return row
    found: list[bytes] = []
    for start in range(0, len(trace.places), MOST_MARKS):
        some = trace.places[start : start + MOST_MARKS]
        marks = [len(prompt) + place - 1 for place in some]
        key = secrets.token_hex(16)
        asked = {
            "model": reader.server.model,
            "prompt": [*prompt, *text[: some[-1]]],
            "max_tokens": 1,
            "temperature": 0.0,
            "kv_transfer_params": ask_params(key, split=len(prompt), marks=marks),
        }
        await reader.post("/v1/completions", asked)
        states = await reader.states(state_path(reader.folder, "", key))
        size = 2 * states.width
        at = {piece: size * number for number, piece in enumerate(states.pieces)}
        for mark in marks:
            for layer in layers:
                begin = at[f"value_mark:{mark}", layer]
                found.append(states.values[begin : begin + size])
        row["width"] = states.width
    return row | {"places": trace.places, "values": b64encode(b"".join(found)).decode()}


def rows_read(path: Path) -> list[dict[str, Any]]:
    """A journal's rows; a torn last line is left out."""
    return [json.loads(line) for line in whole_lines(path)]


async def read_all(
    traces: Sequence[Trace], server: Server, layers: Sequence[int], folder: Path, journal: Path, ends: float
) -> int:
    """Append what the journal lacks; return how many traces were read before `ends` (monotonic seconds)."""
    done = done_keys(journal)
    waiting, read = iter([one for one in traces if (one.query_id, one.sample_idx) not in done]), 0
    # A server closes connections that rest for 5 s; one that it is about to close must not be asked.
    connector = aiohttp.TCPConnector(keepalive_timeout=2.0)
    timeout = aiohttp.ClientTimeout(total=None, sock_read=600)
    with AppendOnlyLines(journal, "reading") as file:
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            reader = Reread(session, server, folder)

            async def work_off() -> None:
                nonlocal read
                for trace in waiting:
                    row = await states_at_looks(reader, trace, layers)
                    file.append(row)
                    read += 1
                    if read % 20 == 0:
                        print(f"{read} traces", file=sys.stderr, flush=True)
                    if time.monotonic() > ends:
                        return

            await asyncio.gather(*(work_off() for _ in range(WIDTH)))
    return read
