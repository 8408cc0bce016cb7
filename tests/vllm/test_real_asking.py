"""Selectors and rules that ask, before a real vLLM: what they ask is answered, counted and paid for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from predictors.observation import Constraints
from router.client import AdminClient, Client, Reply, Status, message
from training.demonstration.serve import Ports, serving
from training.vllm_cpu.counters import read_counters, wait_for
from training.vllm_cpu.server import VllmServer

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(1500)]

ASKED = ("judge", "pairwise", "synthesis")
QUESTIONS = ("Name an animal.", "Name a city in Europe.", "What is 17 times 23?")
CONFIG = """
reference = "judge"
untrained = "judge"

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
max_tokens = 24
logprobs = true
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
"""
PLAN = """
[[plans]]
name = "{name}"
stages = [{{ backend = "small", max_samples = 4, width = {width}, temperature = 1.5, {how} }}]
"""
SELECTED = 'select = {{ kind = "{name}", backend = "large"{more} }}'


@pytest.fixture(scope="module")
def ports(small: VllmServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    folder: Path = tmp_path_factory.mktemp("asking")
    text = CONFIG.format(url=small.url, model=small.model)
    for name in ASKED:
        more = ", max_tokens = 48" if name == "synthesis" else ""
        text += PLAN.format(name=name, width=4, how=SELECTED.format(name=name, more=more))
    text += PLAN.format(name="self_eval", width=1, how='stop = { kind = "self_eval", threshold = 1.0 }')
    (folder / "router.toml").write_text(text)
    with serving(folder / "router.toml", folder / "serve.log") as listening:
        yield listening


async def asked(client: Client, plan: str) -> list[Reply]:
    limits = Constraints(plan=plan)
    return await asyncio.gather(*(client.generate(text, constraints=limits) for text in QUESTIONS))


@pytest.mark.parametrize("plan", ASKED)
async def test_questions_of_selectors_are_answered_counted_and_paid_for(
    small: VllmServer, client: Client, admin: AdminClient, plan: str
) -> None:
    before, spent = read_counters(small.url), (await admin.status()).budget_spent_micros
    replies = await asked(client, plan)
    assert {reply.status for reply in replies} == {Status.ANSWERED}
    assert all(reply.usage_by_backend["small"].samples == 4 for reply in replies)
    used = [reply.usage_by_backend["large"] for reply in replies if "large" in reply.usage_by_backend]
    assert used and all(one.side_calls > 0 and one.samples == 0 for one in used)
    assert not [why for reply in replies for why in reply.decision.degraded if "question" in why]
    at_rest = await asyncio.to_thread(wait_for, small.url, lambda seen: seen.at_rest, 120.0)
    assert at_rest.since(before).generation_tokens == sum(reply.usage.tokens_out for reply in replies)
    status = await admin.status()
    assert status.budget_reserved_micros == 0
    assert status.budget_spent_micros - spent == sum(reply.usage.cost_micros for reply in replies)


async def test_a_synthesis_is_the_answer_of_the_backend_that_wrote_it(client: Client) -> None:
    replies = await asked(client, "synthesis")
    written = [reply for reply in replies if reply.answers[0].sample_id.endswith("synthesis")]
    assert written
    assert all(reply.usage_by_backend["large"].tokens_out > 1 for reply in written)


async def test_the_model_says_how_likely_starting_over_would_not_help_on_its_own_prefix(
    client: Client, admin: AdminClient
) -> None:
    text = "Say which of these comes first: " + ", ".join(f"item {number}" for number in range(60))
    reply = await client.generate([message("user", text)], constraints=Constraints(plan="self_eval"))
    used = reply.usage_by_backend["small"]
    assert (used.samples, used.side_calls) == (4, 4)
    row = await admin.decision(reply.decision_id)
    heard = [row.decision.signals[f"self_eval/0.{number}"] for number in range(4)]
    assert all(0 < chance < 1 for chance in heard)  # from log-probabilities, not from a word
    assert len(set(heard)) > 1
    assert used.tokens_cached > 4 * 150  # the prompt is read from the cache by every question
