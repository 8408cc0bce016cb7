"""The suite `serving` in its short form: it measures what it says, on the real server."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from training.suites.serving.load import Loaded
from training.suites.serving.measure import BUSY, Figures, Target, rounds
from training.suites.serving.processes import Running, running, served
from training.suites.serving.prompts import LONGEST, SHORTEST, prompts, words
from training.suites.serving.streams import Seen

INSTANT = """
[store]
sqlite = "decisions.db"
[backends.one]
kind = "scripted"
script = ["the answer is 42"]
[[plans]]
name = "one"
stages = [{ backend = "one" }]
"""


def test_every_prompt_is_different_and_as_long_as_it_should_be():
    seen = list(itertools.islice(prompts(1), 600))
    assert len(set(seen)) == 600
    assert all(SHORTEST <= len(turns[-1][1]) <= LONGEST for turns in seen)
    assert sum(len(turns) > 1 for turns in seen) == 100
    assert seen == list(itertools.islice(prompts(1), 600))


def test_usual_queries_have_as_many_words_as_asked_for():
    assert {len(turns[0][1].split()) for turns in itertools.islice(words(0, 60), 20)} == {60}


def test_a_closed_loop_says_how_many_calls_it_made_and_what_each_took_of_the_server():
    seen = Loaded(calls=200, seconds=2.0, server_cpu_s=0.1, latencies_s=(0.001, 0.002, 0.003))
    assert (seen.rps, seen.server_cpu_us, seen.latency_ms(0.5)) == (100.0, 500.0, 2.0)


def test_tokens_that_come_together_have_no_time_between_them():
    seen = Seen(seconds=2.0, tokens=10, gaps_s=[0.0, 0.0, 0.02], server_cpu_s=0.5)
    assert (seen.tokens_per_s, seen.tokens_per_core_s, seen.gap_ms(0.5)) == (5.0, 20.0, 0.0)


@pytest.mark.timeout(120)
async def test_a_short_run_gives_every_figure_of_the_service_and_of_the_bare_server(tmp_path: Path):
    config = tmp_path / "router.toml"
    config.write_text(INSTANT)
    figures = Figures()
    with (
        running(tmp_path / "echo.log", "training.suites.serving.echo_server") as echo,
        served(config, "server") as server,
    ):
        targets = {
            "echo": Target(echo, "Generate"),
            "decide": Target(server, "Decide"),
            "stream": Target(server, "GenerateStream"),
        }
        await rounds(targets, figures, seed=0, count=1, seconds=0.2, told=lambda _: None)
        assert server.rss_mb() > 10
        assert server.cpu_s() > 0
    found = figures.spreads()
    wanted = {"rps", "ratio_to_echo", "server_cpu_us", "p50_ms@1", "p99_ms@32", "rss_mb"}
    assert {name: set(one) for name, one in found.items()} == dict.fromkeys(targets, wanted)
    assert figures.values["echo"]["ratio_to_echo"] == [1.0]
    assert figures.values["decide"]["rps"][0] * BUSY > 0


def test_a_process_that_is_gone_uses_nothing():
    gone = Running(2**22 - 1, "127.0.0.1:1")
    assert (gone.cpu_s(), gone.rss_mb()) == (0.0, 0.0)
