"""Whatever a model server sends, in whatever pieces: samples in range, booked in range, or an error about the backend."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from random import Random
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from predictors.observation import Message, Part, Query, Sample, Sampling
from predictors.vllm.state_file import States, decoded, encoded
from router.backends import Call
from router.backends.openai_choice import GrowingChoice
from router.backends.openai_chunks import EventReader
from router.backends.openai_endpoints import Endpoint
from router.backends.openai_errors import of_status
from router.backends.openai_exchange import Exchange, Limits
from router.backends.openai_named import NamedChatChunk
from router.backends.openai_receipt import Receipt
from router.backends.search_score import GARBLED, last_reward
from router.backends.server_load import ServerLoad, read_load, speed_now
from router.domain.plan import Prompt
from router.domain.speed import Speed
from router.domain.usage import Meter
from router.errors import BackendError, BackendGarbled

LOGPROBS = {
    "content": [
        {"token": "4", "logprob": -0.1, "bytes": [52], "top_logprobs": [{"token": "4", "logprob": -0.1}]}
    ]
}
DELTAS: list[dict[str, Any]] = [
    {"content": "The answer"},
    {"content": " is 4.", "reasoning_content": "two and two"},
    {"tool_calls": [{"index": 0, "id": "1", "function": {"name": "f", "arguments": "{}"}}]},
]
USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}
CHUNKS: list[dict[str, Any]] = [
    *(
        {"choices": [{"index": at % 2, "delta": delta, "logprobs": LOGPROBS}], "usage": USAGE}
        for at, delta in enumerate(DELTAS)
    ),
    {
        "choices": [
            {"index": 0, "delta": {}, "finish_reason": "stop"},
            {"index": 1, "delta": {}, "finish_reason": "length"},
        ]
    },
    {"choices": [], "usage": USAGE | {"completion_tokens_details": {"reasoning_tokens": 1}}},
]
WHOLE = {
    "choices": [
        {"index": 0, "message": {"content": "4", "tool_calls": DELTAS[2]["tool_calls"]}, "finish_reason": "stop", "logprobs": LOGPROBS},
        {"index": 1, "message": {"content": "5"}, "finish_reason": "stop"},
    ],
    "usage": USAGE,
}  # fmt: skip
FAILED = {"error": {"message": "no", "code": 400, "type": "BadRequest"}}


@dataclass(frozen=True)
class Said:
    """A reply: its kind and its bytes, in the pieces in which they come."""

    content_type: str
    pieces: tuple[bytes, ...]


class Content:
    """The body of a response, as it comes."""

    def __init__(self, pieces: tuple[bytes, ...]) -> None:
        self._pieces: Iterator[bytes] = iter(pieces)

    async def readany(self) -> bytes:
        return next(self._pieces, b"")

    async def iter_any(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


def cut(rng: Random, raw: bytes) -> tuple[bytes, ...]:
    """In up to six pieces, none empty."""
    places = sorted({0, len(raw), *(rng.randrange(len(raw) + 1) for _ in range(rng.randrange(6)))})
    return tuple(raw[begin:end] for begin, end in itertools.pairwise(places))


@pytest.fixture
def reply(mutations) -> Any:
    """A stream of strange events, a strange whole reply, or damaged bytes of either."""
    event = mutations.strange_json([*CHUNKS, FAILED])
    whole = mutations.strange_json([WHOLE, FAILED])
    told = (
        b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in CHUNKS) + b"data: [DONE]\n\n"
    )
    bytewise = mutations.damaged(
        [told, told.replace(b"\n", b"\r\n"), json.dumps(WHOLE).encode()],
        [b"data: [DONE]\n\n", b"data:", b": x\n", b"event: error\n"],
    )

    def make(rng: Random) -> Said:
        kind = rng.choice(
            (
                "text/event-stream",
                "text/event-stream",
                "text/event-stream",
                "application/json",
                "text/html",
                "",
            )
        )
        found = rng.random()
        if found < 0.5:
            chunks = [json.dumps(chunk).encode() if rng.random() < 0.8 else event(rng) for chunk in CHUNKS]
            raw = b"".join(b"data: " + chunk + b"\n\n" for chunk in chunks)
        elif found < 0.75:
            raw, kind = whole(rng), "application/json"
        else:
            raw = bytewise(rng)
        return Said(kind, cut(rng, raw))

    return make


def call(*, stream: bool, growing: bool) -> Call:
    query = Query("r", (Message("user", (Part(text="2 + 2?"),)),), token_logprobs=True)
    sampling = Sampling(temperature=0.5, max_tokens=50)
    return Call(query, 0, sampling, Prompt(), max_samples=2, width=2, seed=1, stream=stream, growing=growing)


async def drawn(said: Said, asked: Call) -> Meter:
    """The samples of one exchange, each in range."""
    meter, now = Meter(), asyncio.get_running_loop().time()
    exchange = Exchange(
        who="small at http://x",
        call=asked,
        body={},
        choices=tuple(GrowingChoice(f"0.{at}", "small", 0, at) for at in range(2)),
        receipt=Receipt(meter, "small", 4, 2),
        limits=Limits(now + 60, now + 60, 60.0, 60.0),
        started_at=now,
        decoder=msgspec.json.Decoder(NamedChatChunk),
    )
    response = SimpleNamespace(
        status=200, content_type=said.content_type, content=Content(said.pieces), close=lambda: None
    )

    async def post(*_: Any, **__: Any) -> Any:
        return response

    session: Any = SimpleNamespace(post=post)
    try:
        async for event in exchange.events(session, Endpoint("http://x"), "/v1/chat/completions"):
            if isinstance(event, Sample):
                in_range(event)
            else:
                assert event.tokens >= 0, event
    finally:
        for used in meter.by_backend.values():
            assert 0 <= used.tokens_cached <= used.tokens_in, used
            assert 0 <= used.tokens_reasoning <= used.tokens_out, used
            assert max(used.tokens_in, used.tokens_out) < 2**53, used
    return meter


def in_range(sample: Sample) -> None:
    assert 0 <= sample.tokens_cached <= sample.tokens_in, sample
    assert 0 <= sample.tokens_reasoning <= sample.tokens_out, sample
    for value in (sample.mean_logprob, sample.first_entropy):
        assert value is None or math.isfinite(value), sample
    assert sample.mean_logprob is None or sample.mean_logprob <= 0, sample
    assert sample.first_entropy is None or sample.first_entropy >= 0, sample
    sample.text.encode("utf-8")


def test_replies_of_model_servers(fuzz, reply):
    loop = asyncio.new_event_loop()
    asked = [call(stream=stream, growing=growing) for stream in (False, True) for growing in (False, True)]

    def make(rng: Random) -> tuple[Said, Call]:
        return reply(rng), rng.choice(asked)

    try:
        fuzz(make, lambda made: loop.run_until_complete(drawn(*made)), (BackendError,))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def test_events_are_the_same_however_the_bytes_are_cut(fuzz, reply):
    def events(pieces: tuple[bytes, ...]) -> list[bytes]:
        reader = EventReader()
        return [event for piece in pieces for event in reader.feed(piece)] + reader.finish()

    def read(said: Said) -> None:
        found = events(said.pieces)
        assert found == events((b"".join(said.pieces),))
        if not found:
            raise BackendGarbled("nothing in it")

    fuzz(reply, read, (BackendGarbled,))


def test_errors_of_model_servers(fuzz, mutations):
    bodies = mutations.strange_json([FAILED, {"detail": [{"msg": "x"}]}, {"message": "no"}, {"error": "no"}])

    def make(rng: Random) -> tuple[int, str, bytes]:
        return (
            rng.choice((200, 301, 400, 401, 404, 408, 422, 429, 500, 503, 599)),
            rng.choice(("application/json", "text/html", "")),
            bodies(rng),
        )

    def read(made: tuple[int, str, bytes]) -> None:
        error = of_status("small at http://x", *made)
        assert len(str(error)) < 500
        if made[0] != 200:
            raise error

    fuzz(make, read, (BackendError,))


def test_files_of_hidden_states(fuzz, mutations):
    good = encoded(
        States((("prompt_last", 3), ("answer_mean", 3)), 2, 5, 7, b"\x00\x3c\x00\x40\x00\x42\x00\x44")
    )
    header = mutations.strange_json(
        [{"pieces": [["prompt_last", 3]], "width": 2, "prompt_tokens": 5, "answer_tokens": 7}]
    )
    bytewise = mutations.damaged([good])

    def make(rng: Random):
        if rng.random() < 0.5:
            return bytewise(rng)
        said = header(rng)
        return b"APH1" + len(said).to_bytes(4, "little") + said + b"\x00" * 4

    def read(raw: bytes) -> None:
        states = decoded(raw)
        assert len(states.values) == 2 * states.width * len(states.pieces)

    fuzz(make, read, (ValueError,))


METRICS = (
    b'# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{engine="0",model_name="m"} 3.0\n'
    b'vllm:num_requests_waiting{engine="0",model_name="m"} 7.0\nvllm:kv_cache_usage_perc{engine="0"} 0.96\n'
    b"vllm:time_to_first_token_seconds_sum 8.0\nvllm:time_to_first_token_seconds_count 2e1\n"
    b"vllm:inter_token_latency_seconds_sum 10.0\nvllm:inter_token_latency_seconds_count 400\n"
    b"vllm:e2e_request_latency_seconds_sum 30.0\nvllm:e2e_request_latency_seconds_count 10.0 1700000000\n"
)


def test_what_a_server_says_of_its_load(fuzz, mutations):
    make = mutations.damaged(
        [METRICS], [b"NaN", b"-1", b"1e308", b"+Inf", b"{", b'"', b"\\", b"}", b" # {", b"vllm:"]
    )

    def read(raw: bytes) -> None:
        load = read_load(raw.decode("utf-8", "replace"))
        if load is None:
            raise LookupError
        for before in (ServerLoad(), load, replace(load, firsts=0.0, betweens=0.0, stays=0.0)):
            speed = speed_now(before, load, Speed())
            assert 0.0 < speed.first_token_s < math.inf
            assert 0.0 < speed.tokens_per_second < math.inf

    fuzz(make, read, (LookupError,))


def test_rewards_of_a_reward_model(fuzz, mutations):
    make = mutations.strange_json(
        [
            {"data": [{"data": [[0.9, 0.1], [0.25, 0.75]]}], "usage": {"prompt_tokens": 9}},
            {"data": [{"data": [0.3]}]},
        ]
    )

    def read(raw: bytes) -> None:
        assert 0.0 <= last_reward(json.loads(raw)) <= 1.0

    fuzz(make, read, GARBLED)
