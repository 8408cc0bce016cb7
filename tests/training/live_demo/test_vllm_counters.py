"""What a vLLM server says of itself is read, summed over engines, compared and waited for."""

from __future__ import annotations

import pytest

from router.backends.stub_process import StubProcess
from training.errors import TrainingError
from training.vllm_cpu.counters import NAMES, Counters, parse, read_counters, wait_for

PAGE = """
# HELP vllm:generation_tokens_total Number of generation tokens processed.
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{engine="0",model_name="a {b} c"} 84.0
vllm:generation_tokens_total{engine="1",model_name="a {b} c"} 16.0
vllm:generation_tokens_created{engine="0",model_name="a {b} c"} 1.7953213056240144e+09
vllm:prompt_tokens_total{engine="0",model_name="m"} 1.2e+03
vllm:prompt_tokens_by_source_total{engine="0",source="local_compute"} 900.0
vllm:prefix_cache_queries_total{engine="0"} 1200.0
vllm:prefix_cache_hits_total{engine="0"} 300.0
vllm:external_prefix_cache_hits_total{engine="0"} 7.0
vllm:request_success_total{engine="0",finished_reason="stop"} 8.0
vllm:request_success_total{engine="0",finished_reason="length"} 3.0
vllm:request_success_total{engine="0",finished_reason="abort"} 5.0
vllm:num_requests_running{engine="0"} 2.0
vllm:num_requests_waiting{engine="0"} 1.0
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 1.0
python_gc_objects_collected_total{generation="0"} 13912.0
"""


def test_counters_are_summed_over_engines_and_their_relatives_are_left_out() -> None:
    assert parse(PAGE) == Counters(1200, 100, 1200, 300, finished=11, running=2, waiting=1)


def test_what_only_newer_servers_count_may_be_missing() -> None:
    page = "\n".join(line for line in PAGE.splitlines() if "request_success" not in line)
    assert parse(page).finished == 0


def test_a_page_without_a_counter_is_named() -> None:
    with pytest.raises(TrainingError, match="lack vllm:prefix_cache_hits_total: is it vLLM"):
        parse("\n".join(f"{name} 1" for name in NAMES.values() if "hits" not in name))


def test_counters_are_compared_and_gauges_are_as_they_are_now() -> None:
    before, after = Counters(10, 20, 30, 5, 1, running=4, waiting=2), Counters(15, 26, 37, 13, 3, running=1)
    assert after.since(before) == Counters(5, 6, 7, 8, 2, running=1, waiting=0)


def test_only_a_server_where_nothing_runs_or_waits_is_at_rest() -> None:
    assert Counters(generation_tokens=9).at_rest
    assert not Counters(running=1).at_rest and not Counters(waiting=1).at_rest


def test_a_server_that_does_not_answer_is_named() -> None:
    with pytest.raises(TrainingError, match=r"127\.0\.0\.1:1/metrics"):
        read_counters("http://127.0.0.1:1")


def test_waiting_ends_with_the_first_reading_that_is_wanted_or_with_the_last_in_time() -> None:
    slept: list[float] = []

    def passed(after: int) -> float:
        return float(len(slept)) if after else 0.0

    with StubProcess() as stub:
        assert wait_for(stub.url, lambda seen: seen.at_rest, sleep=slept.append) == Counters()
        assert slept == []
        ends = wait_for(
            stub.url, lambda seen: seen.running > 0, 3.0, clock=lambda: passed(1), sleep=slept.append
        )
    assert ends.running == 0
    assert len(slept) == 3
