"""[store] of router.toml: where rows go, and what of a tenant's texts is in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from predictors.observation import Message, Part, Query
from router.assemble import assemble
from router.configuration.file import load
from router.decisions.postgres import Postgres
from router.decisions.read_only import open_read_only
from router.domain.decision import Decision, Keep
from router.domain.events import Done
from router.domain.options import Options
from training.store_bench.made_rows import Traffic

CONFIG = """
[backends.small]
kind = "scripted"
script = ["answer: 4"]
[[plans]]
name = "one"
stages = [{ backend = "small" }]
"""


async def answered(folder: Path, store: str, tenant: str = "", keep: Keep | None = None) -> Decision:
    (folder / "router.toml").write_text(f"{CONFIG}{store}")
    service = assemble(load(folder / "router.toml"), base=folder)
    query = Query("r", (Message("user", (Part(text="What is 2 + 2?"),)),), tenant=tenant)
    try:
        events = [event async for event in service.allocator.run(query, Options(keep=keep))]
        assert isinstance(events[-1], Done)
        return events[-1].decision
    finally:
        await service.close()


PRIVATE = """
[store]
sqlite = ":memory:"
keep = "hash"
[store.tenants.open]
keep = "full"
[store.tenants.closed]
keep = "off"
"""


@pytest.mark.parametrize(
    ("tenant", "asked", "text", "hashed"),
    [
        ("open", None, True, True),
        ("open", Keep.OFF, False, False),  # a request may ask for less
        ("other", None, False, True),
        ("other", Keep.FULL, False, True),  # never for more
        ("closed", Keep.FULL, False, False),
    ],
)
async def test_what_is_kept_of_the_texts_depends_on_the_tenant(tmp_path, tenant, asked, text, hashed):
    row = await answered(tmp_path, PRIVATE, tenant, asked)
    texts = [row.query_text, row.answer, row.answer_text, *(sample.text for sample in row.samples)]
    assert [found is not None for found in texts] == [text] * 4
    assert bool(row.query_hash) is hashed


@pytest.mark.postgres
async def test_rows_and_budgets_go_to_the_server_that_the_configuration_names(tmp_path, postgres_address):
    row = await answered(tmp_path, f'[store]\npostgres = "{postgres_address}"\n')
    with open_read_only(postgres_address) as look:
        (found,) = look.decisions(0.0, 1e12)
    assert found is not None
    assert (found.decision_id, found.answer) == (row.decision_id, "4")
    assert not (tmp_path / "apportion.db").exists()


@pytest.mark.postgres
async def test_a_replica_starts_and_spools_while_the_server_is_away_and_the_next_one_takes_it_over(
    tmp_path, postgres_address
):
    store = Postgres.open("postgresql://nobody@127.0.0.1:1/none", tmp_path / "aside")
    store.record(Traffic().decision(0))
    await store.close()
    assert "127.0.0.1" in store.health.away
    assert store.health.spooled == 1
    other = Postgres.open(postgres_address, tmp_path / "aside")
    assert await other.decision(Traffic().decision_id(0)) is not None
    await other.close()
    with open_read_only(postgres_address) as look:
        assert sum(1 for _ in look.decisions(0.0, 1e12)) == 1


@pytest.mark.postgres
async def test_replicas_of_one_folder_have_spools_of_their_own(tmp_path, postgres_address):
    replicas = [Postgres.open(postgres_address, tmp_path / "aside") for _ in range(3)]
    for at, replica in enumerate(replicas):
        for n in range(at * 10, at * 10 + 10):
            replica.record(Traffic(replica=f"replica-{at}").decision(n))
    for replica in replicas:
        await replica.close()
    with open_read_only(postgres_address) as look:
        assert sum(1 for _ in look.decisions(0.0, 1e12)) == 30
