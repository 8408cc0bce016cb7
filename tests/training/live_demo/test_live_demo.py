"""The live demo before stub servers: its configuration, the whole walk, and what it says where something is broken."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from router.backends.stub_process import StubProcess
from router.configuration.file import load
from router.recording import Recording
from training.errors import TrainingError
from training.live_demo.command import ended_by_signals, running_of
from training.live_demo.prepare import COMPOSITIONS, best_and_balance, prepare
from training.vllm_cpu.models import MODELS

NAMES = {size: model.name for size, model in MODELS.items()}
TEMPLATE = {"name": "direct", "system": "", "before": "", "after": "\nBe brief."}


@pytest.fixture(scope="module")
def source(made: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording that says which models answered, how they were asked, and how answers are judged."""
    folder: Path = made.write_pattern(tmp_path_factory.mktemp("live") / "pattern", 120, 3)
    meta = json.loads((folder / "meta.json").read_text())
    meta["collected"] = {
        size: {"model": name, "max_tokens": 40, "temperature": 0.5, "template": TEMPLATE}
        for size, name in NAMES.items()
    }
    meta["graders"] = {"sum": "contains:auto", "opposite": "contains:auto"}
    (folder / "meta.json").write_text(json.dumps(meta))
    return folder


@pytest.fixture(scope="module")
def stubs() -> Iterator[dict[str, StubProcess]]:
    """Some 500 tokens per second, so that 1,500 take long enough to be left."""
    with (
        StubProcess("--model", NAMES["small"], "--pace", "10") as small,
        StubProcess("--model", NAMES["large"], "--pace", "10") as large,
    ):
        yield {"small": small, "large": large}


def walk(source: Path, stubs: dict[str, StubProcess], out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "training", "demo-vllm", "--recording", str(source), "--out", str(out)]
    urls = [part for size, stub in stubs.items() for part in ("--url", f"{size}={stub.url}")]
    return subprocess.run(
        [*command, *urls, "--queries", "20", "--json"], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def walked(
    source: Path, stubs: dict[str, StubProcess], tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], Path]:
    out = tmp_path_factory.mktemp("out") / "live"
    done = walk(source, stubs, out)
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout), out


@pytest.mark.timeout(400)
def test_every_query_is_answered_but_for_those_that_were_left(walked: tuple[dict[str, Any], Path]) -> None:
    decisions = walked[0]["decisions"]
    assert walked[0]["problems"] == [] and len(decisions) == 20
    assert [line["way"] for line in decisions if line["right"] is None] == ["cancelled", "cancelled"]
    assert {line["kind"] for line in decisions} >= {"vote", "cascade"}
    assert {line["way"] for line in decisions} == {"whole", "streamed", "cancelled"}


@pytest.mark.timeout(400)
def test_the_same_queries_are_asked_of_either_model_alone(walked: tuple[dict[str, Any], Path]) -> None:
    answered = {line["query_id"] for line in walked[0]["decisions"] if line["right"] is not None}
    for lines in walked[0]["always"].values():
        assert {line["query_id"] for line in lines} == answered
    assert walked[0]["savings"]["Apportion"]["always large"]["saving"] == 0.0
    assert walked[0]["savings"]["Apportion"]["always small"]["saving"] > 0.5
    assert 0 < walked[0]["recorded"]["small"] < walked[0]["recorded"]["large"] < 1


@pytest.mark.timeout(400)
def test_the_same_queries_are_answered_by_both_models_together(walked: tuple[dict[str, Any], Path]) -> None:
    answered = {line["query_id"] for line in walked[0]["decisions"] if line["right"] is not None}
    assert set(walked[0]["together"]) == set(COMPOSITIONS)
    for name, lines in walked[0]["together"].items():
        assert {(line["plan"], line["query_id"]) for line in lines} == {(name, one) for one in answered}
        both = walked[0]["savings"][f"{name}: both"]
        assert both[f"{name}: both"]["queries"] == both["always large"]["queries"] == len(answered)
        assert walked[0]["servers"][name][NAMES["small"]]["generation_tokens"] > 0


@pytest.mark.timeout(400)
def test_log_and_ledger_hold_every_pass(walked: tuple[dict[str, Any], Path]) -> None:
    ledger, everything = walked[0]["ledger"], [*walked[0]["decisions"]]
    for lines in walked[0]["always"].values():
        everything += lines
    for lines in walked[0]["together"].values():
        everything += lines
    assert ledger["rows"] == len(everything) == 20 + 4 * 18
    spent = 1e6 * sum(line["dollars"] for line in everything)
    assert spent <= ledger["spent_micros"] < spent + len(everything)


@pytest.mark.timeout(400)
def test_left_work_is_freed_and_the_servers_are_at_rest(
    walked: tuple[dict[str, Any], Path], stubs: dict[str, StubProcess]
) -> None:
    phases = walked[0]["servers"]
    assert all(seen["running"] == 0 for of in phases.values() for seen in of.values())
    assert sum(stub.state()["aborted"] for stub in stubs.values()) >= 2
    assert phases["always small"][NAMES["large"]]["generation_tokens"] == 0
    assert phases["always large"][NAMES["large"]]["generation_tokens"] > 0


@pytest.mark.timeout(400)
def test_it_leaves_its_figures_its_configuration_and_its_bundle(walked: tuple[dict[str, Any], Path]) -> None:
    out = walked[1]
    assert json.loads((out / "live.json").read_text()) == walked[0]
    assert (out / "bundle" / "card.json").is_file()
    assert {section.kind for section in load(out / "router.toml", serving=True).backends.values()} == {"vllm"}


def test_servers_are_asked_as_the_recording_was(source: Path, tmp_path: Path) -> None:
    recording = Recording.load(source)
    ids = [query.query_id for query in recording.queries]
    prepared = prepare(
        recording, ids, dict.fromkeys(NAMES.values(), "http://127.0.0.1:1"), tmp_path, weight=2.0, seed=0
    )
    config = load(prepared.config)
    assert {name: section.model for name, section in config.backends.items()} == NAMES
    assert {section.max_tokens for section in config.backends.values()} == {40}
    assert {(stage.prompt, stage.temperature) for plan in config.plans for stage in plan.stages} == {
        ("direct", 0.5)
    }
    assert config.prompts["direct"].after == "\nBe brief."
    assert config.price == pytest.approx(2.0 * best_and_balance(recording, ids)[1])
    assert (prepared.small, prepared.large) == ("small", "large")
    assert prepared.kinds[prepared.forced("vote")] == "vote" and prepared.forced("") == ""


def test_a_model_without_a_server_is_named(source: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=f"no server for {NAMES['large']}"):
        prepare(
            Recording.load(source), [], {NAMES["small"]: "http://127.0.0.1:1"}, tmp_path, weight=1.0, seed=0
        )


def test_a_recording_that_does_not_say_who_answered_cannot_be_asked_live(
    made: ModuleType, tmp_path: Path
) -> None:
    bare = Recording.load(made.write_pattern(tmp_path / "bare", 20))
    with pytest.raises(TrainingError, match="bare does not say which model small, large was"):
        prepare(bare, [], {}, tmp_path, weight=1.0, seed=0)


@pytest.mark.parametrize(
    ("text", "said"),
    [("medium=http://h:1", "unknown model 'medium'"), ("small=h:1", "expected small|large=http")],
)
def test_a_url_that_is_none_is_refused_with_the_choices(text: str, said: str) -> None:
    with pytest.raises(TrainingError, match=said.replace("|", r"\|")):
        running_of([text])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_it_is_ended_by_signals_as_by_the_keyboard(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), ended_by_signals():
        signal.raise_signal(number)
    assert signal.getsignal(number) is before
