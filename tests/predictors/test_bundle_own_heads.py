"""A bundle keeps the heads of single backends; one of the format before, which knew none, is still read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from predictors.bundle import Bundle
from predictors.bundle_files import fingerprint, load_bundle, save_bundle
from predictors.calibration import constant_curve
from predictors.errors import BundleError
from predictors.observation import Message, Observation, Part, Query, Sample, Tally

QUERY = Query("r", (Message("user", (Part(text="Tell me the longest river in the country 7 please?"),)),))


@pytest.fixture(scope="module")
def with_own(bundle: Bundle) -> Bundle:
    """What `small` answers is judged by a head of its own, which says .25 of everything."""
    shared = bundle.sample_head
    assert shared is not None
    own = replace(shared, own={}, curve=constant_curve(0.25))
    card = replace(bundle.card, own_sample_heads=("small",))
    return replace(bundle, card=card, sample_head=replace(shared, own={"small": own}))


def confidence(bundle: Bundle, backend: str) -> float:
    sample = Sample(
        "0.0", backend, "It is 17.", mean_logprob=-0.7, answer="17", answer_class=0, tokens_out=20
    )
    seen = Observation(QUERY, (sample,), tally=Tally((2, 1), ("17", "4"), 3))
    return bundle.confidence(seen, bundle.look(QUERY))["sample_confidence"]


def rewrite(folder: Path, **changes: object) -> None:
    card = json.loads((folder / "card.json").read_text()) | changes
    (folder / "card.json").write_text(
        json.dumps({name: value for name, value in card.items() if value is not None})
    )


def test_own_heads_come_back_from_the_folder(bundle: Bundle, with_own: Bundle, tmp_path: Path) -> None:
    save_bundle(with_own, tmp_path / "one")
    again = load_bundle(tmp_path / "one")
    assert again.card.own_sample_heads == ("small",)
    assert fingerprint(again) == fingerprint(with_own) != fingerprint(bundle)
    assert confidence(again, "small") == 0.25 != confidence(bundle, "small")
    for backend in ("large", "never seen"):
        assert confidence(again, backend) == confidence(with_own, backend) != 0.25


def test_a_bundle_of_the_format_before_is_read_and_judges_as_it_did(bundle: Bundle, tmp_path: Path) -> None:
    shared = bundle.sample_head
    assert shared is not None
    card = replace(bundle.card, own_sample_heads=())
    before = replace(bundle, card=card, sample_head=replace(shared, own={}))
    save_bundle(before, tmp_path / "old")
    rewrite(tmp_path / "old", format=2, own_sample_heads=None)
    again = load_bundle(tmp_path / "old")
    assert again.card.own_sample_heads == ()
    for backend in ("small", "large"):
        assert confidence(again, backend) == confidence(before, backend)
    save_bundle(again, tmp_path / "new")
    assert json.loads((tmp_path / "new" / "card.json").read_text())["format"] == 3
    assert fingerprint(load_bundle(tmp_path / "new")) == fingerprint(before)


@pytest.mark.parametrize("named", [[], ["large"], ["small", "large"]])
def test_a_card_that_names_other_own_heads_than_there_are_is_refused(
    with_own: Bundle, tmp_path: Path, named: list[str]
) -> None:
    save_bundle(with_own, tmp_path / "one")
    rewrite(tmp_path / "one", own_sample_heads=named)
    with pytest.raises(BundleError, match=r"own heads for \('small',\); the card names"):
        load_bundle(tmp_path / "one")
