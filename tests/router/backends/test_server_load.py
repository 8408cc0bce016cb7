from __future__ import annotations

from dataclasses import replace

import pytest

from router.backends.server_load import ServerLoad, read_load, speed_now, together
from router.domain.speed import Speed

ALONE = Speed(first_token_s=0.2, tokens_per_second=50.0)
BEFORE = ServerLoad(running=4, first_s=10.0, firsts=50, between_s=20.0, betweens=1000, stay_s=100.0, stays=40)
SAID = """# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 2.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="m"} 7.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="m",reason="capacity"} 7.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.9
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.5
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.001",model_name="a \\"b\\""} 0.0
vllm:time_to_first_token_seconds_count{engine="0",model_name="m"} 20.0
vllm:time_to_first_token_seconds_sum{engine="0",model_name="m"} 8.0
vllm:inter_token_latency_seconds_count{engine="0",model_name="m"} 400.0
vllm:inter_token_latency_seconds_sum{engine="0",model_name="m"} 10.0
vllm:e2e_request_latency_seconds_count{engine="0",model_name="m"} 10.0
vllm:e2e_request_latency_seconds_sum{engine="0",model_name="m"} 30.0
process_cpu_seconds_total 12.0
"""


def after(**changes: float) -> ServerLoad:
    """BEFORE, and so much more of it."""
    return replace(BEFORE, **{name: getattr(BEFORE, name) + more for name, more in changes.items()})


def test_the_engines_of_a_server_are_read_together():
    assert read_load(SAID) == ServerLoad(5.0, 7.0, 0.7, 8.0, 20.0, 10.0, 400.0, 30.0, 10.0)


def test_names_of_older_versions_are_known():
    old = SAID.replace("kv_cache", "gpu_cache").replace("inter_token_latency", "time_per_output_token")
    assert read_load(old) == read_load(SAID)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>",
        "go_goroutines 7",
        "vllm:num_requests_running",
        "vllm:num_requests_running{",
        "vllm:num_requests_running nan",
        "vllm:num_requests_running -3",
        "vllm:num_requests_running 1e999",
        'vllm:num_requests_running{a="b} 3',
        "vllm:num_requests_running x\x00",
    ],
)
def test_what_is_not_of_vllm_or_is_garbled_says_nothing(text):
    assert read_load(text) is None


def test_servers_add_up_and_the_next_request_goes_where_there_is_room():
    one, other = ServerLoad(running=2, cache_used=0.99), ServerLoad(running=1, waiting=3, cache_used=0.2)
    assert together([one, other]) == ServerLoad(running=3, waiting=3, cache_used=0.2)
    assert together([]) is None


def test_an_idle_server_is_as_fast_as_alone():
    assert speed_now(BEFORE, after(running=-4, first_s=50.0, firsts=10), ALONE) == ALONE


def test_means_are_of_the_time_between_two_looks():
    found = speed_now(BEFORE, after(first_s=3.0, firsts=6, between_s=8.0, betweens=100), ALONE)
    assert found == Speed(0.5, 12.5)


def test_who_waits_is_ahead_of_who_comes():
    # 8 wait, 4 run and stay 3 s each: one leaves every 0.75 s
    found = speed_now(BEFORE, after(waiting=8, stay_s=12.0, stays=4), ALONE)
    assert found.first_token_s == pytest.approx(0.2 + 8 * 0.75)


def test_the_mean_stay_since_the_start_stands_for_one_that_is_not_known():
    found = speed_now(BEFORE, after(waiting=2), ALONE)
    assert found.first_token_s == pytest.approx(0.2 + 2 / 4 * 2.5)


def test_a_full_cache_lets_the_next_one_wait():
    found = speed_now(BEFORE, after(cache_used=0.97, stay_s=12.0, stays=4), ALONE)
    assert found.first_token_s == pytest.approx(0.2 + 1 / 4 * 3.0)


def test_counters_of_a_server_that_was_started_anew_are_not_believed():
    assert speed_now(BEFORE, ServerLoad(running=1, first_s=0.1, firsts=1), ALONE) == ALONE
