from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from predictors.bundle import Bundle
from predictors.bundle_files import load_bundle
from predictors.observation import Constraints, Message, Observation, Part, Query
from predictors.word_regression import WordRegression
from router.configuration.build_plans import build_plans
from router.configuration.file import load
from training.fit.from_recordings import fit
from training.fit.heads import fit_held_out
from training.fit.samples import fit_sample_head
from training.held_out import HeldOut
from training.replay_run import recorded_query

BACKENDS = ("small", "large")
TRUTH = {"prime": (0.2, 0.8), "river": (0.9, 0.9)}


def signals(bundle: Bundle, text: str) -> dict[str, float]:
    return dict(bundle.look(Query("r", (Message("user", (Part(text=text),)),))).signals)


# --- plans ----------------------------------------------------------------------------------------------------------

ROUTER = """
[backends.cheap]
kind = "recorded"
recorded_as = "small"
recording = "made"
[backends.large]
kind = "recorded"
recording = "made"
[[plans]]
name = "small"
stages = [{ backend = "cheap" }]
[[plans]]
name = "both"
stages = [{ backend = "cheap", max_samples = 2, stop = "never", select = "first" }]
[[plans]]
name = "cascade"
stages = [{ backend = "cheap", gate = { signal = "p_correct/cheap", at_least = 0.5 } }, { backend = "large" }]
"""


@pytest.fixture(scope="module")
def planned(made, tmp_path_factory, record):
    folder = tmp_path_factory.mktemp("planned")
    record(folder / "made", 600, draws=2)
    (folder / "router.toml").write_text(ROUTER)
    config = load(folder / "router.toml")
    card = fit([made], None, config, 0, folder / "bundle")
    return config, card, load_bundle(folder / "bundle")


def test_plans_are_on_the_card_by_digest_and_have_heads(planned):
    config, card, _ = planned
    assert card.plans == {name: plan.digest for name, plan in build_plans(config).items()}
    assert card.plan_heads == ("small", "both", "cascade")


def test_stages_are_expected_to_draw_what_replay_drew(planned):
    hard, easy = (
        signals(planned[2], f"Which {kind} is the largest of group 5000?") for kind in ("prime", "river")
    )
    assert hard["plan_samples/both/0"] == pytest.approx(2.0, abs=0.05)
    assert hard["plan_samples/cascade/0"] < 0.2  # gated: P(right) of cheap is .2
    assert easy["plan_samples/cascade/0"] > 0.8
    assert hard["plan_samples/cascade/1"] > 0.8


def test_a_plan_is_expected_to_be_as_good_as_replay_was(planned):
    hard, easy = (
        signals(planned[2], f"Which {kind} is the largest of group 5000?") for kind in ("prime", "river")
    )
    assert easy["plan_quality/both"] == pytest.approx(0.9, abs=0.1)
    assert hard["plan_quality/both"] == pytest.approx(0.2, abs=0.15)  # .3 or so by other seeds, too
    assert hard["plan_quality/cascade"] > 0.6


def test_held_out_signals_are_not_those_of_a_fit_that_saw_the_query(made, rows):
    fitted = fit_held_out(rows, per_fold=True)
    places = {query_id: place for place, (_, query_id) in enumerate(rows.ids)}
    predictions = HeldOut(fitted, places)
    query = recorded_query(made, 7, Constraints(plan="small"))
    looked = predictions.look(query)
    assert looked.signals["p_correct/small"] == fitted.query.held_out[7, 0]
    assert looked.signals["p_correct/small"] != fitted.bundle.look(query).signals["p_correct/small"]
    seen = Observation(query, (rows.samples[0].sample,))
    without = fitted.samples.folds[int(fitted.folds[7])]
    assert predictions.confidence(seen, looked) == replace(fitted.bundle, sample_head=without).confidence(
        seen, looked
    )
    assert predictions.confidence(seen, looked) != fitted.bundle.confidence(seen, looked)


def test_a_head_for_samples_without_a_fold_does_not_know_its_labels(rows):
    """Turning the labels of one fold round changes every head but the one that never saw them."""
    part = rows.taken(range(300))
    folds = np.arange(300) % 3
    turned = tuple(
        replace(label, reward=1 - label.reward) if folds[label.query] == 1 else label
        for label in part.samples
    )
    prior, tokens = np.full((300, 2), 0.5), np.full((300, 2), 40.0)
    one, other = (
        fit_sample_head(found, prior, tokens, folds, 0, per_fold=True)
        for found in (part, replace(part, samples=turned))
    )
    for fold, equal in ((1, True), (0, False)):
        mine, its = one.folds[fold].linear, other.folds[fold].linear
        assert isinstance(mine, WordRegression)
        assert isinstance(its, WordRegression)
        assert np.array_equal(mine.row.coef, its.row.coef) == equal
