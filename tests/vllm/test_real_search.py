"""A search over steps, written, judged and paid for by a real vLLM."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from predictors.observation import Constraints
from router.client import AdminClient, Client, Status
from training.demonstration.serve import Ports, serving
from training.vllm_cpu.counters import read_counters, wait_for
from training.vllm_cpu.server import VllmServer

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(1500)]

QUESTION = "What is 17 times 23? Think in short steps, each on a line of its own."
BACKEND = """
[backends.{name}]
urls = ["{url}"]
model = "{model}"
price_in = {price}
price_cached_in = 0.01
price_out = {price}
max_tokens = 48
logprobs = true
timeout_s = 600.0
first_token_timeout_s = 300.0
"""
SEARCH = """
[backends.{name}]
kind = "search"
max_tokens = 48
compose = {{ small = "small", large = "{large}", keep = "{keep}", scorer = "{scorer}", step_end = "\\n", step_tokens = 16, expansions = 8 }}
[[plans]]
name = "{name}"
stages = [{{ backend = "{name}", temperature = 1.2 }}]
"""
FOUND = (("judged", "large", "beam", "judge"), ("alone", "", "particle", "logprob"))


@pytest.fixture(scope="module")
def ports(small: VllmServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    folder: Path = tmp_path_factory.mktemp("search")
    text = 'reference = "judged"\nuntrained = "judged"\n[store]\nsqlite = "decisions.db"\n[budget]\ndollars = 1.0\n'
    for name, price in (("small", 0.05), ("large", 0.6)):
        text += BACKEND.format(name=name, url=small.url, model=small.model, price=price)
    for name, large, keep, scorer in FOUND:
        text += SEARCH.format(name=name, large=large, keep=keep, scorer=scorer)
    (folder / "router.toml").write_text(text)
    with serving(folder / "router.toml", folder / "serve.log") as listening:
        yield listening


@pytest.mark.parametrize("plan", [name for name, *_ in FOUND])
async def test_every_step_and_score_is_counted_as_the_server_counts_it_and_paid_for(
    small: VllmServer, client: Client, admin: AdminClient, plan: str
) -> None:
    before, spent = read_counters(small.url), (await admin.status()).budget_spent_micros
    reply = await client.generate(QUESTION, constraints=Constraints(plan=plan))
    assert reply.status is Status.ANSWERED
    assert 0 < reply.usage_by_backend["small"].tokens_out <= 8 * 16 + 48
    assert reply.usage_by_backend["small"].samples == 0
    assert ("large" in reply.usage_by_backend) == (plan == "judged")
    at_rest = await asyncio.to_thread(wait_for, small.url, lambda seen: seen.at_rest, 120.0)
    written = sum(one.tokens_out for name, one in reply.usage_by_backend.items() if name != plan)
    assert at_rest.since(before).generation_tokens == written
    status = await admin.status()
    assert status.budget_reserved_micros == 0
    assert status.budget_spent_micros - spent == reply.usage.cost_micros > 0


async def test_the_judge_reads_each_text_from_the_servers_prefix_cache(client: Client) -> None:
    reply = await client.generate(QUESTION * 8, constraints=Constraints(plan="judged"))
    used = reply.usage_by_backend["large"]
    assert used.side_calls == used.tokens_out > 1
    assert used.tokens_cached > used.tokens_in / 3


async def test_leaving_a_search_frees_the_server(
    small: VllmServer, client: Client, admin: AdminClient
) -> None:
    asked = asyncio.ensure_future(client.generate(QUESTION * 4, constraints=Constraints(plan="judged")))
    await asyncio.to_thread(wait_for, small.url, lambda seen: not seen.at_rest, 120.0)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    await asyncio.to_thread(wait_for, small.url, lambda seen: seen.at_rest, 120.0)
    assert (await client.generate(QUESTION, constraints=Constraints(plan="alone"))).status is Status.ANSWERED
    assert (await admin.status()).budget_reserved_micros == 0  # what was left is settled by now
