"""A configured bundle is used, or refused with a sentence; what it does not know is told with every reply."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from predictors import Look
from predictors.bundle_files import load_bundle, save_bundle
from predictors.errors import BundleError
from predictors.observation import Message, Part, Query
from predictors.typical_queries import TypicalQueries
from predictors.untrained import Untrained
from router.assemble import assemble
from router.assemble_parts import load_predictions
from router.configuration.build_plans import build_plans
from router.configuration.file import load
from router.domain.events import Done
from router.domain.options import Options
from router.learned_plans.known_plans import WithoutPlans, renamed_plans
from router.recording import Recording
from router.recordings.cost import Prices
from router.recordings.format import RecordingMeta, write_recording
from training.fit.from_recordings import fit

TOML = """
bundle = "bundle"
[backends.small]
kind = "scripted"
script = ["answer: 4"]
[backends.large]
kind = "scripted"
script = ["answer: 5"]
price_out = 1.0
[[plans]]
name = "small"
stages = [{ backend = "small" }]
[[plans]]
name = "large"
stages = [{ backend = "large" }]
[store]
sqlite = ":memory:"
"""


def made_up_recording(folder: Path, queries: int = 60) -> Recording:
    """Sums are easy for the small model, products are not."""
    rng = random.Random(3)
    texts = [
        f"What is {number} {'+' if number % 2 else '*'} {rng.randint(2, 99)}?" for number in range(queries)
    ]
    rows = [
        (f"q{number}", backend, draw, "answer: 4", float(rng.random() < (0.9 if "+" in text else share)), 12)
        for number, text in enumerate(texts)
        for backend, share in (("small", 0.1), ("large", 0.9))
        for draw in range(2)
    ]
    types = (pa.string(), pa.string(), pa.int32(), pa.string(), pa.float32(), pa.int32())
    names = ("query_id", "backend", "sample_idx", "text", "reward", "tokens_out")
    columns = zip(names, zip(*rows, strict=True), types, strict=True)
    samples = pa.table({name: pa.array(column, kind) for name, column, kind in columns})
    ids = pa.table({"query_id": [f"q{number}" for number in range(queries)], "query": texts})
    prices = {"small": Prices(1.0, 1.0), "large": Prices(2.0, 2.0)}
    write_recording(folder, RecordingMeta("sums", prices), ids, samples)
    return Recording.load(folder)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A bundle of the backends small and large."""
    folder = tmp_path_factory.mktemp("fitted")
    recording = made_up_recording(folder / "sums")
    fit([recording], [query.query_id for query in recording.queries], None, 0, folder / "bundle")
    return folder / "bundle"


@pytest.fixture
def place(tmp_path, fitted):
    """A folder with a router.toml and the bundle that it names."""
    shutil.copytree(fitted, tmp_path / "bundle")
    (tmp_path / "router.toml").write_text(TOML)
    return tmp_path


def read(place: Path):
    return load(place / "router.toml")


def ask() -> Query:
    return Query("r1", (Message("user", (Part(text="What is 2 * 2?"),)),))


async def test_decisions_are_made_with_the_bundle_and_name_its_version(place):
    service = assemble(read(place), base=place)
    events = [event async for event in service.allocator.run(ask(), Options())]
    await service.close()
    last = events[-1]
    assert isinstance(last, Done)
    assert last.decision.bundle == load_bundle(place / "bundle").version
    assert {"p_correct/small", "p_correct/large"} <= set(last.decision.signals)
    assert last.decision.degraded == ()


def test_a_truncated_bundle_is_refused_with_the_file_that_is_damaged(place):
    whole = (place / "bundle/query.npz").read_bytes()
    (place / "bundle/query.npz").write_bytes(whole[:100])
    with pytest.raises(BundleError, match=r"query\.npz: checksum mismatch"):
        assemble(read(place), base=place)


def test_a_folder_without_a_card_is_refused(place):
    (place / "bundle/card.json").unlink()
    with pytest.raises(BundleError, match=r"card\.json cannot be read"):
        assemble(read(place), base=place)


def test_a_bundle_of_other_features_is_refused_with_both(place):
    card = json.loads((place / "bundle/card.json").read_text())
    (place / "bundle/card.json").write_text(json.dumps(card | {"features": "0123"}))
    with pytest.raises(BundleError, match="fitted on features 0123, this version computes"):
        assemble(read(place), base=place)


def test_a_bundle_of_other_backends_is_refused_with_their_names(place):
    (place / "router.toml").write_text(TOML.replace("small", "tiny").replace("large", "huge"))
    with pytest.raises(
        BundleError, match=r"fitted on the backends small, large; none of them .* only tiny, huge"
    ):
        assemble(read(place), base=place)


def test_a_backend_that_the_bundle_does_not_know_is_told(place):
    (place / "router.toml").write_text(TOML.replace("large", "huge"))
    config = read(place)
    _, unknown = load_predictions(config, place, build_plans(config))
    assert [text for text in unknown if text.startswith("backend 'huge' is not in bundle")]


def test_a_refused_bundle_leaves_the_store_free(place):
    (place / "bundle/card.json").unlink()
    (place / "router.toml").write_text(TOML.replace(":memory:", "rows.db"))
    with pytest.raises(BundleError):
        assemble(read(place), base=place)
    assert not (place / "rows.db").exists()


def test_a_plan_whose_rules_changed_is_told_and_not_predicted(place):
    config = read(place)
    plans = build_plans(config)
    bundle = load_bundle(place / "bundle")
    stale = {"small": "0" * 16, "large": plans["large"].digest}
    save_bundle(replace(bundle, card=replace(bundle.card, plans=stale)), place / "bundle")
    predictions, unknown = load_predictions(config, place, plans)
    assert predictions == WithoutPlans(load_bundle(place / "bundle"), frozenset({"small"}))
    assert [text for text in unknown if text.startswith("plan 'small'") and "its rules changed" in text]


def test_signals_of_changed_plans_alone_are_left_out():
    class Known(Untrained):
        def look(self, query: Query) -> Look:
            names = (
                "plan_quality/a",
                "plan_quality/a/b",
                "plan_samples/a/0",
                "plan_samples/a/b/0",
                "p_correct/a",
            )
            return Look(dict.fromkeys(names, 0.5))

    kept = WithoutPlans(Known("v"), frozenset({"a"})).look(ask()).signals
    assert set(kept) == {"plan_quality/a/b", "plan_samples/a/b/0", "p_correct/a"}


def test_a_plan_under_another_name_is_the_plan_that_was_fitted(place):
    config = read(place)
    plans = build_plans(config)
    bundle = load_bundle(place / "bundle")
    # one new name, two that changed places
    then = {"tiny": plans["small"].digest, "small": plans["large"].digest}
    save_bundle(replace(bundle, card=replace(bundle.card, plans=then)), place / "bundle")
    predictions, unknown = load_predictions(config, place, plans)
    renamed = {"tiny": "small", "small": "large"}
    assert predictions == WithoutPlans(load_bundle(place / "bundle"), frozenset({"small"}), renamed)
    assert not [text for text in unknown if text.startswith("plan ")]


def test_signals_about_a_renamed_plan_are_told_under_its_name_of_now():
    class Known(Untrained):
        typical = TypicalQueries(
            ("plan_quality/a", "plan_quality/b", "reward/a"), np.array([[0.1, 0.2, 0.3]]), np.ones(1)
        )

        def look(self, query: Query) -> Look:
            names = ("plan_quality/a", "plan_quality/b", "plan_samples/a/1", "helps/a", "p_correct/a")
            return Look({name: float(at) for at, name in enumerate(names)})

    seen = WithoutPlans(Known("v"), frozenset({"b"}), {"a": "b", "gone": "c"})
    assert seen.look(ask()).signals == {
        "plan_quality/b": 0.0,
        "plan_samples/b/1": 2.0,
        "helps/b": 3.0,
        "p_correct/a": 4.0,
    }
    assert seen.typical is not None and seen.typical.names == ("plan_quality/b", "reward/a")
    assert renamed_plans({"a": "1", "b": "2", "c": "3"}, {"b": "1", "c": "3", "d": "4"}) == {"a": "b"}
