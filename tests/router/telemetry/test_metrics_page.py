"""The page that Prometheus reads: of a service at work, over HTTP, and in its reference."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from router.backends.vllm import VLLM
from router.config import BackendConfig
from router.domain.backend_state import BackendState
from router.domain.decision import Outcome
from router.errors import RouterError
from router.reports import Reports
from router.telemetry.catalogue import CATALOGUE, Kind
from router.telemetry.endpoint import MetricsPage, MetricsPort, page_of
from router.telemetry.reference import reference

REFERENCE = Path(__file__).parents[3] / "k8s" / "grafana" / "README.md"


async def test_a_query_is_on_the_page(watched):
    one = watched()
    await one.ask("vote", tenant="ann")
    page = one.page
    assert page['apportion_decisions_total{mode="apply",plan="vote",status="answered"}'] == 1
    assert page['apportion_stops_total{plan="vote",reason="enough: agreement"}'] == 1
    assert page['apportion_samples_per_query_sum{plan="vote"}'] == 2
    assert page['apportion_tenant_decisions_total{tenant="ann"}'] == 1
    assert page['apportion_cost_dollars_total{backend="small"}'] > 0
    for phase in ("choose", "reserve", "sample", "select", "whole", "first_text"):
        assert page[f'apportion_query_seconds_count{{phase="{phase}"}}'] == 1
        assert page[f'apportion_query_seconds_bucket{{le="+Inf",phase="{phase}"}}'] == 1


async def test_the_budget_is_on_the_page(watched):
    one = watched()
    await one.ask()
    page = one.page
    account = '{account="all",unit="USD"}'
    assert page[f"apportion_budget_limit{account}"] == 2.0
    assert page[f"apportion_budget_spent{account}"] == pytest.approx(page["apportion_charged_dollars_total"])
    left = page[f"apportion_budget_limit{account}"] - page[f"apportion_budget_spent{account}"]
    assert page[f"apportion_budget_left{account}"] == pytest.approx(left)
    assert page[f"apportion_budget_over{account}"] == 0
    assert 'apportion_price{account="all"}' in page


async def test_without_a_limit_nothing_is_left_of_it(watched):
    page = watched(budget={}).page
    assert not [name for name in page if name.startswith(("apportion_budget_limit", "apportion_budget_left"))]


async def test_backends_show_their_state(watched):
    one = watched()
    switch = one.service.allocator.switch
    switch.set("small", BackendState.DRAIN)
    switch.quarantine("broken", "it lied")
    page = one.page
    assert page['apportion_backend_state{backend="small",state="drain"}'] == 1
    assert page['apportion_backend_state{backend="small",state="enable"}'] == 0
    assert page['apportion_backend_state{backend="broken",state="quarantine"}'] == 1
    assert page['apportion_backend_state{backend="broken",state="disable"}'] == 0


async def test_servers_that_rest_and_requests_that_were_hedged_are_counted(watched):
    class Two:
        hedges = 5

        def urls(self) -> tuple[int, int]:
            return 1, 2

    page = watched(state={"backends": {"small": Two(), "other": object()}}).page
    assert page['apportion_backend_urls{backend="small",state="resting"}'] == 2
    assert page['apportion_backend_urls{backend="small",state="answering"}'] == 1
    assert page['apportion_backend_hedges_total{backend="small"}'] == 5
    assert 'apportion_backend_urls{backend="other",state="resting"}' not in page


async def test_a_real_backend_says_which_of_its_servers_rest(watched):
    backend = VLLM("small", BackendConfig(urls=("http://127.0.0.1:9", "http://127.0.0.1:19")))
    backend._endpoints.members[0].resting_until = asyncio.get_running_loop().time() + 60
    assert backend.urls() == (1, 1)


async def test_a_backend_that_fails_is_counted(watched):
    one = watched()
    with pytest.raises(RouterError):
        await one.ask("broken")
    page = one.page
    assert page['apportion_backend_failures_total{backend="broken"}'] == 1
    assert page['apportion_decisions_total{mode="apply",plan="broken",status="failed"}'] == 1


async def test_the_store_is_on_the_page(watched, tmp_path):
    one = watched(base=tmp_path, store={"sqlite": "d.db"})
    await one.ask()
    for _ in range(2):  # a batch is counted before the next one begins
        await one.service.store.report(())
    page = one.page
    assert page['apportion_store_rows_total{result="committed"}'] == 1
    assert (page["apportion_store_spool_rows"], page["apportion_store_away"]) == (0, 0)


async def test_an_outcome_is_on_the_page_and_a_duplicate_is_not_counted_twice(watched):
    one = watched()
    await one.ask(name="r9")
    reports = Reports(one.service.store, onlookers=[one.metrics.outcomes.reported])
    told = Outcome("o", "correct", True, "bool", request_id="r9", key="k", tenant="default")
    assert [await reports.take([told]), await reports.take([told])] == [(True,), (False,)]
    assert one.page['apportion_outcomes_total{metric="correct"}'] == 1
    assert one.page['apportion_realised_quality_count{metric="correct",plan="vote"}'] == 1


async def test_promised_risk_is_what_the_rules_say_and_realised_risk_is_absent(watched):
    plans = [
        {"name": "one", "stages": [{"backend": "small"}]},
        {
            "name": "safe",
            "stages": [
                {"backend": "small", "stop": {"kind": "confident", "risk": 0.05}},
                {"backend": "broken"},
            ],
        },
    ]
    page = watched(plans=plans, untrained="one").page
    assert page['apportion_promised_risk{plan="safe"}'] == 0.05
    assert not [name for name in page if name.startswith("apportion_realised_risk")]
    assert 'apportion_promised_risk{plan="one"}' not in page


async def test_refusals_and_the_state_of_the_replica_are_on_the_page(watched):
    one = watched(state={"refused": {("openai", "OVERLOAD"): 3}})
    one.admission.queries, one.admission.draining = 2, True
    page = one.page
    assert page['apportion_refused_total{door="openai",reason="OVERLOAD"}'] == 3
    assert (page["apportion_running_queries"], page["apportion_most_queries"]) == (2, 7)
    assert page["apportion_draining"] == 1
    assert page['apportion_serving_info{bundle="",mode="apply",policy="untrained",version="1.2"}'] == 1


async def test_the_process_is_on_the_page(watched):
    assert watched().page["process_resident_memory_bytes"] > 0


async def test_a_scraper_reads_the_page_over_http(watched):
    one = watched()
    await one.ask()
    port = MetricsPort(MetricsPage(page_of(one.metrics)))
    url = f"http://{await port.start('127.0.0.1:0')}/metrics"
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain")
        families = {family.name: family for family in text_string_to_metric_families(await response.text())}
    await port.stop()
    for name, metric in CATALOGUE.items():
        family = families[name.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.kind.value, metric.meaning), name


async def test_every_sample_on_the_page_has_the_labels_that_the_catalogue_says(watched):
    one = watched(state={"refused": {("grpc", "INVALID"): 1}, "spans": lambda: {"exported": 1}})
    await one.ask()
    for family in one.registry.collect():
        if not family.name.startswith("apportion_"):
            continue
        metric = CATALOGUE.get(family.name) or CATALOGUE[f"{family.name}_total"]
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels), sample


def test_counters_and_only_counters_end_in_total():
    assert {name for name, metric in CATALOGUE.items() if metric.kind is Kind.COUNTER} == {
        name for name in CATALOGUE if name.endswith("_total")
    }


def test_the_reference_is_what_the_code_has():
    """Write it anew with `apportion metrics`."""
    assert reference() in REFERENCE.read_text()


def test_every_metric_that_the_reference_names_is_in_the_code():
    named = set(re.findall(r"`(apportion_\w+)`", REFERENCE.read_text()))
    assert {re.sub(r"_(sum|count|bucket)$", "", name) for name in named} <= set(CATALOGUE) | named & set(
        CATALOGUE
    )
