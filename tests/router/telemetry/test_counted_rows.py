"""What is counted of a row, and that labels have an end."""

from __future__ import annotations

import pytest

from router.domain.decision import Mode, SampleRecord, Status
from router.domain.usage import Usage
from router.shadow import SHADOW_RUN
from router.telemetry.accumulators import Histograms, Names
from router.telemetry.decision_metrics import (
    KINDS,
    MOST_SENTENCES,
    DecisionMetrics,
    degraded_kind,
    degraded_like,
    stop_word,
)


@pytest.fixture
def counted() -> DecisionMetrics:
    return DecisionMetrics(tenants=2)


def values(counted: DecisionMetrics, name: str) -> dict[tuple[str, ...], float]:
    return counted.series()[name].values  # type: ignore[return-value]


def test_rows_are_counted_by_plan_end_and_mode(counted, row):
    for status, mode in [(Status.ANSWERED, Mode.APPLY)] * 2 + [(Status.FAILED, Mode.OBSERVE)]:
        counted(row(status=status, mode=mode))
    assert values(counted, "apportion_decisions_total") == {
        ("one", "answered", "apply"): 2.0,
        ("one", "failed", "observe"): 1.0,
    }


def test_usage_and_cost_are_counted_by_backend_plan_and_tenant(counted, row):
    usage = {"small": Usage(100, 40, 7, 3, samples=2), "large": Usage(10, 0, 1, 0, samples=1)}
    counted(row(usage=usage, costs={"small": 2e6, "large": 1e6}, cost=3e6, charged=3_000_001))
    assert values(counted, "apportion_tokens_total") == {
        ("small", "in"): 100.0,
        ("small", "cached"): 40.0,
        ("small", "out"): 7.0,
        ("small", "reasoning"): 3.0,
        ("large", "in"): 10.0,
        ("large", "cached"): 0.0,
        ("large", "out"): 1.0,
        ("large", "reasoning"): 0.0,
    }
    assert values(counted, "apportion_samples_total") == {("small",): 2.0, ("large",): 1.0}
    assert values(counted, "apportion_cost_dollars_total") == pytest.approx(
        {("small",): 2.0, ("large",): 1.0}
    )
    assert values(counted, "apportion_plan_cost_dollars_total") == pytest.approx({("one",): 3.0})
    assert values(counted, "apportion_tenant_cost_dollars_total") == pytest.approx({("default",): 3.0})
    assert values(counted, "apportion_charged_dollars_total") == pytest.approx({(): 3.000001})


def test_tenants_beyond_the_first_ones_are_one_label(counted, row):
    for tenant in ("a", "b", "c", "d", "a"):
        counted(row(tenant=tenant))
    assert values(counted, "apportion_tenant_decisions_total") == {("a",): 2.0, ("b",): 1.0, ("other",): 2.0}


def test_a_shadow_run_is_no_decision_but_its_tokens_were_used(counted, row):
    counted(row(unusable_reason=SHADOW_RUN, usage={"small": Usage(5, samples=1)}, costs={"small": 1e6}))
    assert values(counted, "apportion_decisions_total") == {}
    assert values(counted, "apportion_cost_dollars_total") == {("small",): 1.0}


def test_how_hidden_states_were_had_is_counted_by_backend(counted, row):
    had = ("there", "there", "late", "", "resting")
    samples = tuple(SampleRecord(f"0.{n}", "small", 0, n, states=states) for n, states in enumerate(had))
    counted(
        row(samples=samples, degraded=("hidden states of backend 'small': late, logprobs took their place",))
    )
    assert values(counted, "apportion_hidden_states_total") == {
        ("small", "there"): 2.0,
        ("small", "late"): 1.0,
        ("small", "resting"): 1.0,
    }
    assert values(counted, "apportion_degraded_total") == {("no_hidden_states",): 1.0}


def test_samples_and_phases_fall_into_their_bars(counted, row):
    samples = tuple(SampleRecord(f"0.{n}", "small", 0, n) for n in range(3))
    counted(row(samples=samples, phases={"choose": 0.0003, "sample": 2.0}, latency_s=2.1, first_text_s=0.5))
    bars = counted.series()["apportion_samples_per_query"]
    assert isinstance(bars, Histograms)
    place = bars.bounds.index(3)
    assert (bars.values["one",].counts[place], sum(bars.values["one",].counts)) == (1, 1)
    seconds = counted.series()["apportion_query_seconds"]
    assert isinstance(seconds, Histograms)
    assert set(seconds.values) == {("choose",), ("sample",), ("whole",), ("first_text",)}
    assert seconds.values["choose",].counts[seconds.bounds.index(0.0005)] == 1
    assert seconds.values["whole",].total == 2.1


def test_a_value_on_a_bound_is_within_it_and_one_beyond_all_is_in_the_last_bar():
    bars = Histograms((1.0, 2.0))
    for value in (1.0, 1.5, 9.0):
        bars.add((), value)
    assert bars.values[()].counts == [1, 1, 1]


def test_predicted_quality_is_that_of_the_served_plan(counted, row):
    counted(row(forecasts={"one": (0.25, 1.0), "other": (0.9, 2.0)}))
    counted(row(forecasts={"one": (0.75, 1.0)}))
    counted(row(forecasts={"one": (None, 1.0)}))
    mean = values(counted, "apportion_predicted_quality")["one",]
    assert (mean.count, mean.total) == (2, 1.0)  # type: ignore[attr-defined]


def test_nothing_predicted_is_absent_and_not_0(counted, row):
    counted(row(forecasts={"one": (None, 1.0)}))
    assert values(counted, "apportion_predicted_quality") == {}


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("enough: agreement", "enough: agreement"),
        ("escalate: hopeless", "escalate: hopeless"),
        ("enough: verified", "enough: verified"),
        ("exhausted", "exhausted"),
        ("the deadline", "deadline"),
        ("failed: the last stage broke off", "failed"),
        ("abstained: no plan is expected to reach min_quality = 0.9; the best 0.412", "abstained"),
        ("", "none"),
    ],
)
def test_a_stop_reason_is_a_word_that_holds_nothing_of_the_query(said: str, word: str):
    assert stop_word(said) == word


@pytest.mark.parametrize(
    ("said", "kind", "backend"),
    [
        ("no bundle: plans are chosen untrained", "untrained", ""),
        ("backend 'small' failed: small at http://x: no token within 1.0 s", "backend_failed", "small"),
        ("plan 'large' took over from 'small'", "other_plan", ""),
        ("plan 'large' began again", "other_server", ""),
        ("plan 'large' may be late: it is expected to take 3.00 s, 1.00 s are left", "late", ""),
        ("backend 'small' is in quarantine: it gave 9 tokens where max_tokens was 4", "backend_closed", ""),
        ("backend 'small': it gave 9 tokens where max_tokens was 4", "backend_overran", ""),
        ("backend 'small' is drained by an operator", "backend_closed", ""),
        ("the reference plan 'large' is not feasible", "reference_infeasible", ""),
        ("the deadline passed before the plan ended", "deadline", ""),
        ("the moon is full", "other", ""),
    ],
)
def test_what_is_degraded_has_a_kind(said: str, kind: str, backend: str):
    assert degraded_kind(said) == (kind, backend)


def test_failures_are_counted_by_backend(counted, row):
    counted(row(degraded=("backend 'small' failed: gone", "plan 'large' took over from 'small'")))
    assert values(counted, "apportion_backend_failures_total") == {("small",): 1.0}
    assert values(counted, "apportion_degraded_total") == {("backend_failed",): 1.0, ("other_plan",): 1.0}


def test_sentences_without_end_take_memory_with_an_end(counted, row):
    for number in range(MOST_SENTENCES + 50):
        counted(row(degraded=(f"backend 'b' failed: {number}",), stop_reason=f"oddity {number}"))
    assert sum(values(counted, "apportion_degraded_total").values()) == MOST_SENTENCES + 50
    assert len(values(counted, "apportion_stops_total")) <= 65
    assert sum(values(counted, "apportion_stops_total").values()) == MOST_SENTENCES + 50


def test_after_many_sentences_what_is_new_is_still_counted_as_what_it_is(counted, row):
    for number in range(MOST_SENTENCES):
        late = f"plan 'one' may be late: it is expected to take 9 s, {number / 100:.2f} s are left"
        counted(row(degraded=(late,), stop_reason=f"abstained: the best {number / 1000:.3f}"))
    for number in range(3):
        counted(row(degraded=(f"backend 'b' failed: {number}",), stop_reason="enough: agreement"))
        counted(row(degraded=("plan 'large' took over from 'small'",), stop_reason="abstained: the best 2"))
    assert values(counted, "apportion_backend_failures_total") == {("b",): 3.0}
    assert values(counted, "apportion_degraded_total") == {
        ("late",): MOST_SENTENCES,
        ("backend_failed",): 3.0,
        ("other_plan",): 3.0,
    }
    stops = values(counted, "apportion_stops_total")
    assert stops == {("one", "abstained"): MOST_SENTENCES + 3, ("one", "enough: agreement"): 3.0}


@pytest.mark.parametrize("beginning", [beginning for beginning, _ in KINDS])
def test_a_sentence_stands_for_all_of_its_kind(beginning: str):
    text = f"plan 'one' {beginning[1:]} it" if beginning.startswith("…") else f"{beginning} 'one'"
    assert degraded_kind(degraded_like(text)) == degraded_kind(text)


def test_names_beyond_the_most_are_other():
    names = Names(1)
    assert [names("a"), names("b"), names("a")] == ["a", "other", "a"]
