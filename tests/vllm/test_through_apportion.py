"""The service before a real vLLM: it answers by every kind of plan, frees what is left, and its side calls hit the cache."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from predictors.observation import Constraints, Sampling
from router.client import (
    AdminClient,
    AnswerDelta,
    Client,
    Done,
    Reply,
    SampleDelta,
    Status,
    message,
)
from training.demonstration.serve import Ports, serving
from training.vllm_cpu.counters import Counters, read_counters, wait_for
from training.vllm_cpu.server import VllmServer

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(1500)]

PATIENCE_S = 600.0
LONG_TOKENS = 1800  # half a minute of work at the very least
WHOLE = ("What is 17 + 25?", "What is the capital of France?", "Which is larger, 12 or 21?")
STREAMED = ("What is 3 times 4?", "Name the opposite of hot.")
SIDE_CALL = {"continue_final_message": True, "add_generation_prompt": False}

CONFIG = """
reference = "large"
untrained = "small"

[server]
drain_s = 5.0

[store]
sqlite = "decisions.db"

[budget]
dollars = 1.0

[backends.small]
urls = ["{url}"]
model = "{model}"
price_in = 0.05
price_cached_in = 0.01
price_out = 0.1
max_tokens = 32
logprobs = true
extra_allowed = ["min_tokens", "continue_final_message", "add_generation_prompt"]
timeout_s = 600.0
first_token_timeout_s = 300.0

[backends.large]
urls = ["{url}"]
model = "{model}"
price_in = 0.6
price_out = 1.2
max_tokens = 48
logprobs = true
timeout_s = 600.0
first_token_timeout_s = 300.0

[prompts.brief]
after = "\\nReply with \\"Answer: \\" and the answer."

[[plans]]
name = "small"
stages = [{{ backend = "small" }}]

[[plans]]
name = "vote"
stages = [{{ backend = "small", prompt = "brief", max_samples = 4, width = 4, temperature = 0.7 }}]

[[plans]]
name = "cascade"
stages = [
  {{ backend = "small", prompt = "brief", stop = {{ kind = "confident", threshold = 1.0 }} }},
  {{ backend = "large", prompt = "brief" }},
]

[[plans]]
name = "large"
stages = [{{ backend = "large", prompt = "brief" }}]
"""


@pytest.fixture(scope="module")
def ports(small: VllmServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    folder: Path = tmp_path_factory.mktemp("service")
    (folder / "router.toml").write_text(CONFIG.format(url=small.url, model=small.model))
    with serving(folder / "router.toml", folder / "serve.log") as listening:
        yield listening


@pytest.fixture
async def client(ports: Ports) -> AsyncIterator[Client]:
    async with Client(ports.router, timeout_s=PATIENCE_S) as connected:
        yield connected


@pytest.fixture
async def admin(ports: Ports) -> AsyncIterator[AdminClient]:
    async with AdminClient(ports.admin, timeout_s=PATIENCE_S) as connected:
        yield connected


async def at_rest(server: VllmServer) -> Counters:
    return await asyncio.to_thread(wait_for, server.url, lambda seen: seen.at_rest, 120.0)


async def streamed(client: Client, text: str, plan: str) -> tuple[str, Reply]:
    pieces: list[str] = []
    async with aclosing(client.stream(text, constraints=Constraints(plan=plan))) as events:
        async for event in events:
            if isinstance(event, AnswerDelta):
                pieces.append(event.text)
            elif isinstance(event, Done):
                return "".join(pieces), event.reply
    raise AssertionError("the stream ended without Done")


async def test_every_kind_of_plan_is_answered_and_paid_for(
    small: VllmServer, client: Client, admin: AdminClient
) -> None:
    before, spent = read_counters(small.url), (await admin.status()).budget_spent_micros
    whole = [(text, plan) for text in WHOLE for plan in ("small", "vote", "cascade")]
    replies = await asyncio.gather(
        *(client.generate(text, constraints=Constraints(plan=plan)) for text, plan in whole)
    )
    pieces = await asyncio.gather(
        *(streamed(client, text, plan) for text in STREAMED for plan in ("small", "vote"))
    )
    replies += [reply for _, reply in pieces]
    assert len(replies) == 13
    assert {reply.status for reply in replies} == {Status.ANSWERED}
    assert [reply.decision.plan for reply in replies[:9]] == [plan for _, plan in whole]
    assert [reply.usage.samples for reply in replies[:3]] == [1, 4, 2]
    assert all(text == reply.text != "" for text, reply in pieces)
    counted = (await at_rest(small)).since(before)
    assert counted.generation_tokens == sum(reply.usage.tokens_out for reply in replies)
    status = await admin.status()
    assert status.budget_reserved_micros == 0
    assert status.budget_spent_micros - spent == sum(reply.usage.cost_micros for reply in replies)


@pytest.mark.parametrize(("plan", "sequences"), [("small", 1), ("vote", 4)])
async def test_a_query_that_is_left_frees_the_server_long_before_it_could_have_ended(
    small: VllmServer, client: Client, admin: AdminClient, plan: str, sequences: int
) -> None:
    before = await at_rest(small)
    async with aclosing(
        client.stream(
            "Tell me a story.",
            request_id=f"left-{plan}",
            constraints=Constraints(plan=plan),
            sampling=Sampling(max_tokens=LONG_TOKENS),
            extra={"min_tokens": LONG_TOKENS},
            return_samples=True,
        )
    ) as events:
        async for event in events:
            if isinstance(event, AnswerDelta | SampleDelta):
                break
        busy = await asyncio.to_thread(wait_for, small.url, lambda seen: seen.running == sequences)
    freed = await at_rest(small)
    assert busy.running == sequences
    assert freed.at_rest
    assert 0 < freed.since(before).generation_tokens < LONG_TOKENS
    again = read_counters(small.url)
    assert again.generation_tokens == freed.generation_tokens
    (row,) = [row async for row in admin.decisions() if row.request_id == f"left-{plan}"]
    assert row.status is Status.CANCELLED
    assert 0 < row.usage.tokens_out <= freed.since(before).generation_tokens
    assert (await admin.status()).budget_reserved_micros == 0


async def test_a_side_call_on_a_growing_answer_reads_its_prompt_from_the_cache(
    small: VllmServer, client: Client
) -> None:
    """As a tentative answer is elicited: the same conversation, the answer so far, and how it is to go on."""
    question = message("user", "Say which of these comes first: " + ", ".join(f"item {n}" for n in range(60)))
    limits = Constraints(plan="small")
    first = await client.generate([question], constraints=limits)
    before = read_counters(small.url)
    so_far = message("assistant", f"{first.text}\nThe answer is")
    side = await client.generate(
        [question, so_far], constraints=limits, sampling=Sampling(max_tokens=4), extra=SIDE_CALL
    )
    counted = (await at_rest(small)).since(before)
    assert first.usage.tokens_in > 200
    assert side.usage.tokens_in > first.usage.tokens_in
    assert counted.cache_hits == side.usage.tokens_cached >= first.usage.tokens_in - 32
    assert side.usage.cost_exact == pytest.approx(
        (side.usage.tokens_in - side.usage.tokens_cached) * 0.05
        + side.usage.tokens_cached * 0.01
        + side.usage.tokens_out * 0.1
    )
