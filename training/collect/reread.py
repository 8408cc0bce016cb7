"""Hidden states of samples that were recorded: the same tokens are read again, and one more is asked for.

A causal model's state of a token depends on the tokens before it alone, so the states of prompt and answer read in
one go are those of the generation, up to rounding. What is not the same: a text whose tokens are not those that were
generated (a tokenizer may spell it otherwise); such samples are read all the same and say `exact: false`.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from predictors.vllm.asked import ask_params
from predictors.vllm.state_file import States, state_path, take_states
from router.recording import Recording
from training.append_only import AppendOnlyLines, whole_lines
from training.errors import TrainingError
from training.openai_samples import Server

WAIT_S = 20.0  # for a state file: the server answers before it has written


@dataclass(frozen=True, slots=True)
class Recorded:
    """One finished sample."""

    query_id: str
    query: str
    sample_idx: int
    text: str
    tokens_out: int | None
    finish_reason: str


def recorded_samples(
    recording: Recording, backend: str, per_query: int, queries: int
) -> Iterator[list[Recorded]]:
    """The first `per_query` samples of the first `queries` queries (0: all) that have a text, query by query."""
    by_query: dict[int, list[Recorded]] = {}
    seen = recording.columns
    place = recording.backends.index(backend)
    for row in range(len(seen.query)):
        if not seen.finished[row] or seen.backend[row] != place or seen.sample_idx[row] >= per_query:
            continue
        query = recording.queries[int(seen.query[row])]
        text = recording.value(row, "text")
        tokens = recording.value(row, "tokens_out")
        by_query.setdefault(int(seen.query[row]), []).append(
            Recorded(
                query.query_id,
                query.query,
                int(seen.sample_idx[row]),
                str(text or ""),
                None if tokens is None else int(tokens),
                str(recording.value(row, "finish_reason") or ""),
            )
        )
    chosen = sorted(by_query)
    for number in chosen[:queries] if queries else chosen:
        yield by_query[number]


def done_keys(journal: Path) -> set[tuple[str, int]]:
    """The samples that a journal holds; a torn last line is left out."""
    rows = (json.loads(line) for line in whole_lines(journal))
    return {(row["query_id"], row["sample_idx"]) for row in rows}


@dataclass(slots=True)
class Reread:
    """Reads samples again on one server whose connector leaves states in `folder`."""

    session: aiohttp.ClientSession
    server: Server
    folder: Path

    async def query(self, samples: Sequence[Recorded]) -> list[dict[str, Any]]:
        """The journal's rows of one query's samples."""
        body = self.server.body(samples[0].query, 0)
        prompt = await self.tokens({"messages": body["messages"]})
        return [await self._sample(sample, prompt) for sample in samples]

    async def _sample(self, sample: Recorded, prompt: list[int]) -> dict[str, Any]:
        answer = (
            await self.tokens({"prompt": sample.text, "add_special_tokens": False}) if sample.text else []
        )
        ended = sample.finish_reason != "length"  # its last token, the end, is not in the text
        exact = sample.tokens_out is None or len(answer) + ended == sample.tokens_out
        read = answer if ended else answer[:-1]
        key = secrets.token_hex(16)
        asked = {
            "model": self.server.model,
            "prompt": [*prompt, *read],
            "max_tokens": 1,
            "temperature": 0.0,
            "kv_transfer_params": ask_params(key, split=len(prompt)),
        }
        await self.post("/v1/completions", asked)
        states = await self.states(state_path(self.folder, "", key))
        return {
            "query_id": sample.query_id,
            "sample_idx": sample.sample_idx,
            "exact": exact,
            "pieces": states.pieces,
            "width": states.width,
            "tokens": [states.prompt_tokens, states.answer_tokens],
            "values": b64encode(states.values).decode(),
        }

    async def tokens(self, asked: Mapping[str, Any]) -> list[int]:
        """What the server's tokenizer makes of messages or of a text."""
        said = await self.post("/tokenize", {"model": self.server.model, **asked})
        return [int(token) for token in said["tokens"]]

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """One call; raises `TrainingError` with what the server said for anything but 200."""
        async with self.session.post(self.server.url + path, json=body) as response:
            if response.status != 200:
                said = (await response.text(errors="replace"))[:300]
                raise TrainingError(f"{self.server.url}{path}: HTTP {response.status}: {said}")
            found: dict[str, Any] = await response.json(content_type=None)
            return found

    async def states(self, path: Path) -> States:
        """What the connector leaves at `path`, waited for; raises `TrainingError` where it does not come."""
        for _ in range(int(WAIT_S / 0.01)):
            found = take_states(path)
            if found is not None:
                return found
            await asyncio.sleep(0.01)
        raise TrainingError(
            f"{path}: no states within {WAIT_S:g} s; was the server started with our connector?"
        )


async def reread(
    work: Sequence[Sequence[Recorded]],
    server: Server,
    folder: Path,
    journal: Path,
    *,
    width: int = 8,
    on_query: Callable[[int], bool] = lambda _: True,
) -> int:
    """Append the rows of all samples that the journal lacks; return how many were read.

    `on_query` is told how many queries are done, and ends the run where it says False.
    """
    done = done_keys(journal)
    left = [[one for one in samples if (one.query_id, one.sample_idx) not in done] for samples in work]
    waiting, finished, read = iter([samples for samples in left if samples]), 0, 0
    going = True
    timeout = aiohttp.ClientTimeout(total=None, sock_read=600)
    with AppendOnlyLines(journal, "reading") as file:
        # A server closes connections that rest for 5 s; one that it is about to close must not be asked.
        connector = aiohttp.TCPConnector(keepalive_timeout=2.0)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            reader = Reread(session, server, folder)

            async def work_off() -> None:
                nonlocal finished, read, going
                for samples in waiting:
                    rows = await reader.query(samples)
                    for row in rows:
                        file.append(row)
                    finished, read = finished + 1, read + len(rows)
                    going = going and on_query(finished)
                    if not going:
                        return

            await asyncio.gather(*(work_off() for _ in range(width)))
    return read
