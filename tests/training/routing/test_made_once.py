"""What several subjects of a fold, or several jobs of a worker, need is made once."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from router.recording import Recording
from training.suites.routing.problem import folds_by_text, routing_problem
from training.suites.routing.text_space import text_space
from training.suites.workers import recording_at


def test_neighbours_and_clusters_of_a_fold_look_at_the_same_words(made: ModuleType, tmp_path: Path) -> None:
    recording = Recording.load(made.write_pattern(tmp_path / "pattern", 80, answers=False))
    first, second = folds_by_text(routing_problem(recording, 0))[:2]
    assert text_space(first) is text_space(first)
    assert text_space(first) is not text_space(second)


def test_a_worker_reads_its_recording_once(made: ModuleType, tmp_path: Path) -> None:
    folders = [made.write_pattern(tmp_path / name, 80, answers=False) for name in ("one", "other")]
    assert recording_at(folders[0]) is recording_at(folders[0])
    assert recording_at(folders[1]).name == "other"
    assert recording_at(folders[0]).name == "one"
