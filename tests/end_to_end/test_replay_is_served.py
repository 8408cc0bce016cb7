"""What is trained on is what is served: 200 queries by replay and over gRPC, with and without the rewards."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from router.client import Client, Preferences
from router.config import Config
from router.recording import Recording
from training.demonstration.prepare import blind_copy
from training.fit.from_recordings import fit
from training.menu import menu_of
from training.menu_toml import toml_of
from training.replay_run import Replayed, replay

HOUSE = Path(__file__).resolve().parents[2] / "training" / "recordings" / "house"
QUERIES = 200
PRICE = 6000.0  # quality per dollar: between always small and always large


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A folder with a recording without rewards, a bundle fitted on other queries of it, and its router.toml."""
    folder: Path = tmp_path_factory.mktemp("house")
    blind_copy(HOUSE, folder / "recording")
    labelled = Recording.load(HOUSE)
    config = menu_of(labelled, folder / "recording", price=PRICE, seed=3)
    fitted_on = [query.query_id for query in labelled.queries[QUERIES : QUERIES + 400]]
    fit([labelled], fitted_on, config, 0, folder / "bundle")
    policy = {"kind": "softmax", "explore": 0.3, "temperature": 0.1, "floor": 0.01}
    config = replace(config, bundle=str(folder / "bundle"), policy=policy)
    (folder / "router.toml").write_text(toml_of(config))
    return folder


@pytest.fixture(scope="module")
def config(home) -> Config:
    from router.configuration.file import load

    return load(home / "router.toml")


@pytest.fixture(scope="module")
def replayed(home, config) -> list[Replayed]:
    blind = Recording.load(home / "recording")
    return replay(config, blind, ids_of(blind), base=home)


def ids_of(recording: Recording) -> list[str]:
    return [query.query_id for query in recording.queries[:QUERIES]]


def what_was_done(one: Replayed) -> tuple[object, ...]:
    """Everything that a replay decides, to the last bit."""
    row = one.decision
    drawn = [(sample.backend, sample.index, sample.answer_class, sample.confidence) for sample in row.samples]
    return (
        row.plan,
        row.probabilities,
        row.signals,
        drawn,
        row.cost,
        row.stop_reason,
        one.answer and one.answer.text,
    )


def test_without_rewards_and_gold_everything_is_the_same_to_the_last_bit(home, config, replayed):
    labelled = Recording.load(HOUSE)
    again = replay(config, labelled, ids_of(labelled), base=home)
    assert [what_was_done(one) for one in again] == [what_was_done(one) for one in replayed]


def test_the_replay_uses_several_plans_and_some_explore(replayed):
    assert len({one.decision.plan for one in replayed}) >= 3
    assert any(one.decision.explored for one in replayed)


@pytest.mark.timeout(240)
async def test_the_served_path_draws_the_same_plans_samples_and_costs(home, replayed, server_of):
    server = server_of(home / "router.toml")
    assert server.router, server.log
    blind = Recording.load(home / "recording")
    gate = asyncio.Semaphore(8)

    async def ask(client: Client, query_id: str, text: str) -> tuple[object, ...]:
        async with gate:
            reply = await client.generate(
                text,
                request_id=query_id,
                metadata={"x-recording-query-id": query_id},
                return_samples=True,
                preferences=Preferences(),
            )
        drawn = [(sample.backend, sample.index) for sample in reply.samples]
        return reply.decision.plan, drawn, reply.usage.cost_exact, reply.text

    async with Client(server.router) as client:
        served = await asyncio.gather(
            *(ask(client, query.query_id, query.query) for query in blind.queries[:QUERIES])
        )
    expected = [
        (
            one.decision.plan,
            [(sample.backend, sample.index) for sample in one.decision.samples],
            one.decision.cost,
            one.answer.text if one.answer else "",
        )
        for one in replayed
    ]
    assert list(served) == expected
