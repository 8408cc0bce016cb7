"""What replayed decisions were worth, seen by the process that may see rewards."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from router.config import BackendConfig, Config
from router.recording import Recording
from training.demonstration.prepare import blind_copy
from training.recording_prices import at_prices_of

HOUSE = Path(__file__).resolve().parents[3] / "training" / "recordings" / "house"


def ran(*arguments: str) -> str:
    """What `python -m training` prints."""
    done = subprocess.run(
        [sys.executable, "-m", "training", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def decided(tmp_path_factory) -> Path:
    """Untrained decisions over a blind copy of the house recording: its reference plan."""
    folder: Path = tmp_path_factory.mktemp("decided")
    blind, ids, decisions = folder / "house", folder / "ids.txt", folder / "decisions.parquet"
    blind_copy(HOUSE, blind)
    ids.write_text("\n".join(query.query_id for query in Recording.load(HOUSE).queries[:50]))
    ran("replay", "--recording", str(blind), "--queries", str(ids), "--decisions", str(decisions))
    return folder


def evaluated(*arguments: str) -> str:
    return ran("evaluate", *arguments)


def test_the_reward_is_that_of_the_samples_that_answered(decided):
    arguments = ("--decisions", str(decided / "decisions.parquet"), "--recording", str(HOUSE), "--json")
    (block,) = json.loads(evaluated(*arguments))["decisions"]
    recording = Recording.load(HOUSE)
    large = recording.columns.backend == recording.backends.index("large")
    asked = np.isin(recording.columns.query, np.arange(50))
    everything = recording.columns.reward[large & asked]
    assert block["queries"] == 50
    assert block["unlabelled"] == 0
    assert block["plans"] == {"large": 1.0}
    assert abs(block["reward"] - everything.mean()) < 4 * 0.5 / np.sqrt(50)
    assert block["half_width"] == pytest.approx(1.96 * 0.5 / np.sqrt(50), rel=0.2)


def test_a_blind_recording_has_nothing_to_evaluate_and_says_so(decided):
    arguments = ("--decisions", str(decided / "decisions.parquet"), "--recording", str(decided / "house"))
    assert "no reward" in evaluated(*arguments)


def test_the_page_is_written_beside_the_lines(decided):
    arguments = ("--decisions", str(decided / "decisions.parquet"), "--recording", str(HOUSE))
    told = evaluated(*arguments, "--html", str(decided / "report.html"))
    assert "mean reward" in (decided / "report.html").read_text()
    assert told.startswith("house")


@pytest.fixture
def free(tmp_path) -> Path:
    """The house recording as `collect` writes it where it was told no prices."""
    folder = Path(shutil.copytree(HOUSE, tmp_path / "house"))
    meta = json.loads((folder / "meta.json").read_text())
    for charges in meta["backends"].values():
        charges |= {"price_in": 0.0, "price_out": 0.0}
    (folder / "meta.json").write_text(json.dumps(meta))
    return folder


def test_a_free_recording_costs_what_the_configuration_charges(free):
    house = Recording.load(HOUSE)
    config = Config(
        plans=(),
        backends={
            "little": BackendConfig(recorded_as="small", price_in=0.05, price_out=0.1),
            "large": BackendConfig(price_in=0.6, price_out=1.2),
        },
    )
    charged = at_prices_of(config, Recording.load(free))
    assert charged.prices == house.prices
    np.testing.assert_array_equal(charged.columns.cost, house.columns.cost)
    only = at_prices_of(Config(plans=(), backends={"small": BackendConfig(price_in=1.0)}), house)
    assert only.prices["large"] == house.prices["large"]


def test_a_page_about_free_answers_says_so_and_takes_the_configurations_prices(free, decided, tmp_path):
    config = tmp_path / "router.toml"
    config.write_text(
        "\n".join(
            f"[backends.{name}]\nkind = 'scripted'\nscript = ['4']\nprice_in = 0.6\nprice_out = 1.2\n"
            f"[[plans]]\nname = '{name}'\nstages = [{{ backend = '{name}' }}]"
            for name in ("small", "large")
        )
    )
    arguments = ["evaluate", "--decisions", str(decided / "decisions.parquet"), "--recording", str(free)]
    arguments += ["--html", str(tmp_path / "page.html")]
    done = subprocess.run(
        [sys.executable, "-m", "training", *arguments], capture_output=True, text=True, check=True
    )
    assert "its backends are free" in done.stderr
    assert "$0.0000" in (tmp_path / "page.html").read_text()
    ran(*arguments, "--config", str(config))
    assert "$0.0000" not in (tmp_path / "page.html").read_text()
