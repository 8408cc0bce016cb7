"""A configuration becomes a service that answers, or an error before anything serves."""

from __future__ import annotations

import itertools
from pathlib import Path

import pyarrow as pa
import pytest

from predictors.observation import Message, Part, Query
from router.assemble import assemble
from router.assemble_parts import NO_BUNDLE, build_backends
from router.backends.recorded import Recorded
from router.configuration.file import load
from router.decisions.memory import Memory
from router.domain.decision import Decision, Mode
from router.domain.events import Done
from router.domain.options import Options
from router.errors import ConfigError, RecordingError, StoreError
from router.recordings.cost import Prices
from router.recordings.format import RecordingMeta, write_recording

SCRIPTED = """
mode = "apply"
policy = { kind = "fixed", plan = "vote" }
reference = "one"
untrained = "vote"
price = 2.5
seed = 7
[backends.small]
kind = "scripted"
script = ["answer: 4", "answer: 5", "answer: 4"]
price_in = 1.0
price_out = 2.0
[[plans]]
name = "one"
stages = [{ backend = "small" }]
[[plans]]
name = "vote"
stages = [{ backend = "small", max_samples = 3, stop = { kind = "agreement", needed = 2 } }]
[store]
sqlite = ":memory:"
"""


def configured(folder: Path, text: str = SCRIPTED):
    (folder / "router.toml").write_text(text)
    return load(folder / "router.toml")


def ask(text: str = "What is 2 + 2?", request_id: str = "r1", **more) -> Query:
    return Query(request_id, (Message("user", (Part(text=text),)),), **more)


async def answered(service, query: Query) -> Decision:
    events = [event async for event in service.allocator.run(query, Options())]
    assert isinstance(events[-1], Done)
    return events[-1].decision


async def test_a_query_is_answered_by_the_configured_plan_and_logged(tmp_path):
    service = assemble(configured(tmp_path), base=tmp_path)
    decision = await answered(service, ask())
    stored = await service.store.decision(decision.decision_id)
    await service.close()
    assert (decision.plan, decision.answer, len(decision.samples)) == ("vote", "4", 3)
    assert stored == decision


async def test_costs_are_computed_at_the_configured_prices(tmp_path):
    service = assemble(configured(tmp_path), base=tmp_path)
    decision = await answered(service, ask())
    await service.close()
    usage = decision.usage["small"]
    assert decision.cost == usage.tokens_in * 1.0 + usage.tokens_out * 2.0 > 0


async def test_without_a_bundle_every_row_says_that_it_is_untrained(tmp_path):
    service = assemble(configured(tmp_path), base=tmp_path)
    decision = await answered(service, ask())
    await service.close()
    assert NO_BUNDLE in decision.degraded
    assert (decision.policy, decision.bundle) == ("untrained", "")


async def test_bypass_serves_the_reference_plan(tmp_path):
    service = assemble(configured(tmp_path, SCRIPTED.replace('"apply"', '"bypass"')), base=tmp_path)
    decision = await answered(service, ask())
    await service.close()
    assert (decision.plan, decision.mode) == ("one", Mode.BYPASS)


async def test_the_first_mode_entry_that_matches_gives_the_mode(tmp_path):
    modes = '[[modes]]\nmode = "bypass"\ntenant = "a"\n[[modes]]\nmode = "observe"\n'
    service = assemble(configured(tmp_path, SCRIPTED + modes), base=tmp_path)
    first = await answered(service, ask(tenant="a"))
    other = await answered(service, ask(tenant="b", request_id="r2"))
    await service.close()
    assert (first.mode, other.mode) == (Mode.BYPASS, Mode.OBSERVE)


async def test_the_budget_is_that_of_the_configuration_in_micro_dollars(tmp_path):
    service = assemble(configured(tmp_path, SCRIPTED + "[budget]\ndollars = 0.25\n"), base=tmp_path)
    limit = service.ledger.balance().limit
    await service.close()
    assert limit == 250_000


async def test_a_menu_keeps_the_order_the_reference_and_the_untrained_plan(tmp_path):
    service = assemble(configured(tmp_path), base=tmp_path)
    menu = service.allocator.books.chooser.menu
    await service.close()
    assert [plan.name for plan in menu.plans] == ["one", "vote"]
    assert (menu.reference.name, menu.untrained.name) == ("one", "vote")


async def test_policy_prices_and_seed_reach_the_chooser(tmp_path):
    service = assemble(configured(tmp_path), base=tmp_path)
    chooser = service.allocator.books.chooser
    await service.close()
    assert (chooser.policy_name, chooser.price, chooser.seed) == ("fixed", 2.5, 7)


async def test_two_services_have_replica_names_of_their_own(tmp_path):
    config = configured(tmp_path)
    services = [assemble(config, base=tmp_path) for _ in range(2)]
    names = {service.allocator.settings.replica for service in services}
    for service in services:
        await service.close()
    assert len(names) == 2


async def test_decision_ids_sort_by_time(tmp_path):
    now = itertools.count(1_700_000_000.0)
    service = assemble(configured(tmp_path), base=tmp_path, wall_s=lambda: next(now))
    ids = [(await answered(service, ask(request_id=f"r{n}"))).decision_id for n in range(3)]
    await service.close()
    assert ids == sorted(ids)
    assert len(set(ids)) == 3


async def test_parts_that_are_given_take_the_place_of_built_ones(tmp_path):
    store = Memory()
    service = assemble(
        configured(tmp_path), base=tmp_path, store=store, new_id=lambda query: f"d-{query.request_id}"
    )
    await answered(service, ask())
    await service.close()
    assert service.store is store
    assert await store.decision("d-r1") is not None


async def test_rows_are_in_the_sqlite_file_that_the_configuration_names(tmp_path):
    service = assemble(configured(tmp_path, SCRIPTED.replace(":memory:", "rows.db")), base=tmp_path)
    decision = await answered(service, ask())
    await service.close()
    again = assemble(load(tmp_path / "router.toml"), base=tmp_path)
    stored = await again.store.decision(decision.decision_id)
    await again.close()
    assert stored is not None
    assert (stored.plan, stored.probabilities, stored.propensity) == (
        decision.plan,
        decision.probabilities,
        decision.propensity,
    )
    assert (stored.answer_text, stored.cost, stored.charged) == (
        decision.answer_text,
        decision.cost,
        decision.charged,
    )
    assert stored.signals == pytest.approx(decision.signals, rel=1e-6)  # kept in single precision
    assert (tmp_path / "rows.db").is_file()


async def test_a_second_service_on_one_sqlite_file_is_refused(tmp_path):
    config = configured(tmp_path, SCRIPTED.replace(":memory:", "rows.db"))
    service = assemble(config, base=tmp_path)
    with pytest.raises(StoreError, match=r"rows\.db"):
        assemble(config, base=tmp_path)
    await service.close()


def test_a_reference_plan_that_is_gone_is_refused(tmp_path):
    from msgspec.structs import replace

    with pytest.raises(ConfigError, match=r"reference: 'gone' is no plan; choose from one, vote"):
        assemble(replace(configured(tmp_path), reference="gone"), base=tmp_path)


RECORDED = """
[backends.a]
kind = "recorded"
recording = "both"
price_out = 1.0
[backends.b]
kind = "recorded"
recording = "both"
recorded_as = "other"
price_out = 2.0
[[plans]]
name = "a"
stages = [{ backend = "a" }]
[[plans]]
name = "b"
stages = [{ backend = "b" }]
[store]
sqlite = ":memory:"
"""


@pytest.fixture
def recording(tmp_path):
    queries = pa.table({"query_id": ["q1"], "query": ["What is 2 + 2?"]})
    samples = pa.table(
        {
            "query_id": ["q1", "q1"],
            "backend": ["a", "other"],
            "sample_idx": pa.array([0, 0], pa.int32()),
            "text": ["answer: 5", "answer: 4"],
            "tokens_out": pa.array([3, 3], pa.int32()),
        }
    )
    meta = RecordingMeta("both", {"a": Prices(1.0, 1.0), "other": Prices(2.0, 2.0)})
    write_recording(tmp_path / "both", meta, queries, samples)
    return tmp_path / "both"


async def test_recorded_backends_serve_the_recording_beside_the_file(tmp_path, recording):
    service = assemble(configured(tmp_path, RECORDED), base=tmp_path)
    decision = await answered(service, ask())
    await service.close()
    assert (decision.plan, decision.answer) == ("b", "4")


def test_backends_of_one_recording_read_it_once(tmp_path, recording):
    backends = build_backends(configured(tmp_path, RECORDED), tmp_path)
    held = {id(backend._shelf.held("both")) for backend in backends.values() if isinstance(backend, Recorded)}
    assert len(held) == 1


def test_a_damaged_recording_is_refused_at_the_start(tmp_path, recording):
    config = configured(tmp_path, RECORDED)
    (recording / "samples.parquet").write_bytes(b"PAR1")
    with pytest.raises(RecordingError, match=r"samples\.parquet"):
        assemble(config, base=tmp_path)


def test_a_recorded_name_that_the_recording_lacks_is_named_with_its_line(tmp_path, recording):
    with pytest.raises(
        ConfigError, match=r"router\.toml:9: backends\.b\.recorded_as: unknown backend .*'othr'.*other"
    ):
        configured(tmp_path, RECORDED.replace('"other"', '"othr"'))


async def test_the_switch_knows_whom_compositions_ask(tmp_path):
    text = SCRIPTED.replace(
        "[[plans]]",
        '[backends.large]\nkind = "scripted"\nscript = ["5"]\n[backends.both]\nkind = "glimpse"\n'
        'compose = { small = "small", large = "large" }\n[[plans]]\nname = "both"\nstages = [{ backend = "both" }]\n'
        "[[plans]]",
        1,
    )
    service = assemble(configured(tmp_path, text), base=tmp_path)
    assert service.allocator.switch.asked("both") == ("both", "small", "large")
    assert service.allocator.switch.asked("large") == ("large",)
    await service.close()
