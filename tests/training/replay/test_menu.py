"""The menu that is made from a recording."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from router.configuration.build_plans import build_plans
from router.configuration.file import load
from router.recording import Recording
from training.menu import cheapest_first, menu_of
from training.menu_toml import toml_of


def names(made: ModuleType, folder: Path, **options: object) -> list[str]:
    recording = Recording.load(made.write_pattern(folder, 60, **options))
    return [plan.name for plan in menu_of(recording, folder).plans]


def test_every_backend_alone_votes_of_each_and_cascades(made: ModuleType, tmp_path: Path) -> None:
    found = names(made, tmp_path / "a", samples=4)
    assert found[:6] == ["small", "large", "small-vote", "small-vote@0.06", "small-vote@0.15", "large-vote"]
    assert all(name.startswith("small-to-large@") for name in found[6:]) and len(found) > 6


def test_two_samples_are_too_few_to_vote(made: ModuleType, tmp_path: Path) -> None:
    assert not any("-vote" in name for name in names(made, tmp_path / "a", samples=2))


def test_without_anything_to_look_at_there_is_no_cascade(made: ModuleType, tmp_path: Path) -> None:
    assert names(made, tmp_path / "a", samples=4, answers=False) == ["small", "large"]


def test_free_text_is_not_voted_on_whatever_its_rewards(made: ModuleType, tmp_path: Path) -> None:
    """Answers that are never the same twice, graded in part."""
    recording = Recording.load(made.write_pattern(tmp_path / "a", 60, samples=4))
    seen = recording.columns
    reward = np.random.default_rng(0).random(len(seen)).astype(np.float32)
    prose = replace(
        recording,
        answers=tuple(f"This is text {number} of many." for number in range(len(seen))),
        columns=replace(seen, answer=np.arange(len(seen), dtype=np.int32), reward=reward),
    )
    assert not any("-vote" in plan.name for plan in menu_of(prose, tmp_path / "a").plans)


@pytest.mark.parametrize("samples", [3, 8])
def test_a_vote_weighs_its_samples_and_stops_where_the_next_is_not_worth_it(
    made: ModuleType, tmp_path: Path, samples: int
) -> None:
    folder = tmp_path / "a"
    recording = Recording.load(made.write_pattern(folder, 60, samples=samples))
    plans = {plan.name: plan for plan in menu_of(recording, folder).plans}
    for name, cost in (("small-vote", 0.02), ("small-vote@0.15", 0.15)):
        vote = plans[name].stages[0]
        assert vote.stop == {"kind": "value_of_next", "fixed_cost": cost}
        assert (vote.select, vote.max_samples) == ("weighted", samples)


def test_the_reference_is_the_dearest_backend_alone(made: ModuleType, tmp_path: Path) -> None:
    recording = Recording.load(made.write_pattern(tmp_path / "a", 60))
    assert menu_of(recording, tmp_path / "a").reference == cheapest_first(recording)[-1] == "large"


def test_its_toml_is_read_back_as_the_same_configuration(made: ModuleType, tmp_path: Path) -> None:
    folder = made.write_pattern(tmp_path / 'a "quoted" folder', 60, samples=4)
    menu = menu_of(Recording.load(folder), folder, price=1234.5, seed=3)
    (tmp_path / "router.toml").write_text(toml_of(menu))
    read = load(tmp_path / "router.toml")
    assert read == menu
    assert {name: plan.digest for name, plan in build_plans(read).items()} == {
        name: plan.digest for name, plan in build_plans(menu).items()
    }
