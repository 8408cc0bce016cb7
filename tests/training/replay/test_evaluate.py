"""What replayed decisions were worth, seen by the process that may see rewards."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from router.recording import Recording
from training.demonstration.prepare import blind_copy

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
