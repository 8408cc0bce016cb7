from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from predictors.bundle import Bundle
from predictors.calibration import ece_debiased
from predictors.errors import FitError
from predictors.observation import Message, Observation, Part, Query
from router.__main__ import commands
from router.build_plans import build_plans
from router.config_file import load
from router.recording import Recording
from router.recording_cost import Prices
from router.recording_format import RecordingMeta, write_recording
from training.errors import TrainingError
from training.fit import fit, fit_bundle, fit_held_out, pass_rate_correlation
from training.fit_command import read_ids
from training.fit_rows import FitRows, rows_of
from training.fit_samples import fit_sample_head
from training.held_out import HeldOut
from training.plan_outcomes import recorded_query

BACKENDS = ("small", "large")
TRUTH = {"prime": (0.2, 0.8), "river": (0.9, 0.9)}


def record(
    folder: Path, count: int = 400, seed: int = 0, draws: int = 1, blind_from: int | None = None
) -> Recording:
    """Queries about primes (hard) and rivers; from `blind_from` on, rewards and gold are null."""
    rng = np.random.default_rng(seed)
    queries: dict[str, list] = {"query_id": [], "query": [], "task": [], "gold": []}
    samples: dict[str, list] = {
        name: []
        for name in (
            "query_id",
            "backend",
            "sample_idx",
            "text",
            "answer",
            "reward",
            "tokens_out",
            "mean_logprob",
        )
    }
    for number in range(count):
        kind = ("prime", "river")[int(rng.integers(2))]
        blind = blind_from is not None and number >= blind_from
        queries["query_id"].append(f"q{number}")
        queries["query"].append(f"Which {kind} is the largest of group {number}?")
        queries["task"].append(f"task {kind}")
        queries["gold"].append(None if blind else "42")
        for place, backend in enumerate(BACKENDS):
            for draw in range(draws):
                right = bool(rng.random() < TRUTH[kind][place])
                sure = bool(rng.random() < (0.9 if right else 0.2))
                row = {
                    "query_id": f"q{number}", "backend": backend, "sample_idx": draw, "text": f"It is {42 if right else 7}.",
                    "answer": "42" if right else "7", "reward": None if blind else float(right),
                    "tokens_out": 30 + 60 * place, "mean_logprob": -0.1 if sure else -1.5,
                }  # fmt: skip
                for name, entry in row.items():
                    samples[name].append(entry)
    schema = pa.schema(
        [("query_id", pa.string()), ("query", pa.string()), ("task", pa.string()), ("gold", pa.string())]
    )
    rows = pa.table(samples).set_column(5, "reward", pa.array(samples["reward"], pa.float32()))
    meta = RecordingMeta("made", {"small": Prices(0.1, 0.2), "large": Prices(1.0, 2.0)}, "a test", "none")
    write_recording(folder, meta, pa.table(queries, schema=schema), rows)
    return Recording.load(folder)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return record(tmp_path_factory.mktemp("recordings") / "made", 600, draws=2)


@pytest.fixture(scope="module")
def rows(recording):
    return rows_of([recording])


def plain(texts, reward, backends=BACKENDS) -> FitRows:
    """Rows with rewards alone."""
    reward = np.array(reward, dtype=float)
    unknown = np.full(reward.shape, np.nan)
    return FitRows(
        tuple(texts), backends, reward, unknown, unknown.copy(), np.zeros(reward.shape, dtype=bool)
    )


def questions(count: int) -> list[str]:
    return [f"Question number {number} about something?" for number in range(count)]


def signals(bundle: Bundle, text: str) -> dict[str, float]:
    return dict(bundle.look(Query("r", (Message("user", (Part(text=text),)),))).signals)


# --- what is learned ------------------------------------------------------------------------------------------------


def test_it_learns_which_queries_are_hard_for_which_backend(rows):
    found = fit_bundle(rows).look_many(
        ["Which prime is the largest of group 9999?", "Which river is the largest of group 9999?"]
    )
    for place, backend in enumerate(BACKENDS):
        assert found[f"p_correct/{backend}"] == pytest.approx(
            [TRUTH["prime"][place], TRUTH["river"][place]], abs=0.1
        )
    assert found["gain/large/small"] == pytest.approx([0.6, 0.0], abs=0.12)


def test_held_out_predictions_are_calibrated(rows):
    fitted = fit_held_out(rows, with_samples=False)
    first = np.array(
        [
            label.reward
            for label in rows.samples
            if label.sample.backend == "small" and label.sample.index == 0
        ]
    )
    assert ece_debiased(fitted.query.held_out[:, 0], first, np.random.default_rng(0)) < 0.04


def test_the_same_seed_gives_the_same_bundle_and_another_seed_another(rows):
    part = rows.taken(range(200))
    one, again, other = (fit_bundle(part, seed).version for seed in (1, 1, 2))
    assert one == again != other


def test_metrics_of_noise_show_no_skill_and_the_base_rate_is_served():
    rng = np.random.default_rng(0)
    bundle = fit_bundle(plain(questions(300), (rng.random((300, 2)) < [0.3, 0.7])))
    assert abs(bundle.card.metrics["brier_skill/p_correct/small"]) < 0.05
    values = bundle.look_many(questions(300))["p_correct/small"]
    assert values.mean() == pytest.approx(0.3, abs=0.06)
    assert values.std() < 0.06


def test_pass_rates_that_differ_between_queries_are_told_from_those_that_do_not():
    rng = np.random.default_rng(0)
    same, differ = np.full(4000, 0.5), rng.beta(0.5, 0.5, 4000)
    draws = rng.random((4000, 2, 2)) < np.stack([same, differ], axis=1)[:, :, None]
    both = draws.all(axis=2).astype(float)
    rows = replace(plain(questions(4000), draws.mean(axis=2)), both=both)
    rho, prior = pass_rate_correlation(rows, np.full((4000, 2), 0.5))
    assert rho == pytest.approx([0.0, 0.5], abs=0.04)  # rho of Beta(a, b) is 1 / (a + b + 1)
    assert prior == ()


def test_a_backend_seen_once_per_query_is_marked():
    bundle = fit_bundle(plain(questions(50), np.random.default_rng(0).integers(0, 2, (50, 2))))
    assert bundle.card.rho_from_prior == BACKENDS


def test_graded_rewards_are_learned_as_they_are():
    rng = np.random.default_rng(0)
    reward = np.clip(rng.normal([0.82, 0.91], 0.1, (160, 2)), 0, 1)
    found = fit_bundle(plain(questions(160), reward)).look_many(questions(160))
    assert found["p_correct/small"].mean() == pytest.approx(reward[:, 0].mean(), abs=0.015)
    assert found["gain/large/small"].mean() == pytest.approx(np.diff(reward).mean(), abs=0.02)


# --- rows that are hard to fit --------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_one_class_only_is_near_certainty_but_not_certainty(value):
    found = signals(fit_bundle(plain(questions(60), np.full((60, 2), value))), "anything")
    assert 0 < abs(found["p_correct/small"] - value) < 0.02
    assert found["gain/small/large"] == pytest.approx(0, abs=0.02)


def test_a_backend_with_three_rows_gets_a_cautious_base_rate():
    reward = np.random.default_rng(0).integers(0, 2, (100, 2)).astype(float)
    reward[3:, 1] = np.nan
    reward[:3, 1] = 1.0
    found = signals(fit_bundle(plain(questions(100), reward)), "anything")
    assert found["p_correct/large"] == pytest.approx(3.5 / 4)


def test_a_backend_without_any_reward_is_a_coin():
    reward = np.random.default_rng(0).integers(0, 2, (100, 2)).astype(float)
    reward[:, 1] = np.nan
    assert signals(fit_bundle(plain(questions(100), reward)), "anything")["p_correct/large"] == 0.5


def test_duplicates_with_different_labels_are_averaged():
    texts = ["What is the answer to this riddle of ours?"] * 100 + questions(100)
    reward = np.tile([[1.0, 1.0], [0.0, 1.0]], (100, 1))
    found = signals(fit_bundle(plain(texts, reward)), texts[0])
    assert found["p_correct/small"] == pytest.approx(0.5, abs=0.08)


def test_missing_rewards_are_left_out(rows):
    holes = rows.reward.copy()
    holes[np.random.default_rng(0).random(holes.shape) < 0.5] = np.nan
    found = fit_bundle(replace(rows, reward=holes), with_samples=False).look_many(
        ["Which prime is the largest of group 1?"]
    )
    assert found["p_correct/small"][0] == pytest.approx(0.2, abs=0.12)


@pytest.mark.parametrize("count", [1, 9])
def test_too_few_queries_are_refused_with_their_number(count):
    with pytest.raises(FitError, match=f"{count} of {count} queries have a reward; at least 10"):
        fit_bundle(plain(questions(count), np.ones((count, 2))))


def test_queries_without_any_reward_are_refused():
    with pytest.raises(FitError, match="0 of 40 queries have a reward"):
        fit_bundle(plain(questions(40), np.full((40, 2), np.nan)))


def test_empty_and_odd_texts_can_be_fitted():
    texts = ["", " ", "\n", "?", "é" * 5000] * 10 + questions(50)
    found = fit_bundle(plain(texts, np.random.default_rng(0).integers(0, 2, (100, 2)))).look_many(texts)
    assert all(np.isfinite(values).all() for values in found.values())


def test_many_backends_have_gains_for_every_ordered_pair():
    names = tuple(f"m{number}" for number in range(6))
    rng = np.random.default_rng(0)
    reward = (rng.random((300, 6)) < np.linspace(0.2, 0.9, 6)).astype(float)
    found = signals(fit_bundle(plain(questions(300), reward, names)), "Question number 3 about something?")
    assert len([name for name in found if name.startswith("gain/")]) == 30
    assert found["gain/m5/m0"] == pytest.approx(0.7, abs=0.12)
    assert found["gain/m0/m5"] == pytest.approx(-found["gain/m5/m0"])


def test_one_backend_alone_can_be_fitted():
    found = signals(fit_bundle(plain(questions(50), np.eye(50)[:, :1], ("only",))), "anything")
    assert [name for name in found if name.startswith("gain/")] == []


# --- rows of a recording --------------------------------------------------------------------------------------------


def test_rows_are_those_of_the_named_queries(recording):
    rows = rows_of([recording], ["q3", "q1"])
    assert rows.ids == ((0, "q1"), (0, "q3"))
    assert {label.query for label in rows.samples} == {0, 1}
    assert rows.counts["queries"] == 2


def test_rewards_that_are_null_are_skipped_and_counted(tmp_path):
    rows = rows_of([record(tmp_path / "r", 20, blind_from=15)])
    assert rows.counts["skipped_without_reward"] == 10
    assert rows.counts["queries_without_any_reward"] == 5
    assert np.isnan(rows.reward[15:]).all()


def test_an_id_that_is_not_recorded_is_named(recording):
    with pytest.raises(FitError, match="1 query ids are in no recording, the first is 'q-none'"):
        rows_of([recording], ["q1", "q-none"])


def test_backends_are_taken_under_the_names_that_serve_them(recording):
    rows = rows_of([recording], None, "auto", {"cheap": "small", "other": "nowhere"})
    assert rows.backends == ("cheap",)
    assert {label.sample.backend for label in rows.samples} == {"cheap"}


def test_backends_of_which_none_is_recorded_are_refused_with_those_that_are(recording):
    with pytest.raises(FitError, match="none of the backends x is recorded; there are small, large"):
        rows_of([recording], None, "auto", {"x": "y"})


def test_pairs_of_right_draws_are_counted_without_bias(tmp_path):
    rows = rows_of([record(tmp_path / "r", 12, draws=4)])
    for query in range(12):
        drawn = [
            label.reward for label in rows.samples if label.query == query and label.sample.backend == "small"
        ]
        pairs = [one * other for place, one in enumerate(drawn) for other in drawn[place + 1 :]]
        assert len(pairs) == 6
        assert rows.both[query, 0] == pytest.approx(np.mean(pairs))


def test_task_and_gold_are_not_read(tmp_path, recording):
    """The same recording under shuffled tasks and without gold gives the same bundle."""
    table = recording.sample_table
    queries = pa.table(
        {
            "query_id": [query.query_id for query in recording.queries],
            "query": [query.query for query in recording.queries],
            "task": [f"other {place % 7}" for place in range(len(recording.queries))],
        }
    )
    write_recording(tmp_path / "made", recording.meta, queries, table)
    one, other = (fit_bundle(rows_of([found]), 3) for found in (recording, Recording.load(tmp_path / "made")))
    assert one.version == other.version


def test_what_is_not_named_does_not_matter(tmp_path):
    """Blind: rewards of the other queries may be null or not, the bundle is the same bit for bit."""
    ids = [f"q{number}" for number in range(200)]
    whole, blind = record(tmp_path / "a", 260), record(tmp_path / "b", 260, blind_from=200)
    cards = [
        fit([found], ids, None, 4, tmp_path / f"bundle{place}") for place, found in enumerate((whole, blind))
    ]
    assert cards[0].files == cards[1].files


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
stages = [{ backend = "cheap", max_samples = 2, stop = "never" }]
[[plans]]
name = "cascade"
stages = [{ backend = "cheap", gate = { signal = "p_correct/cheap", at_least = 0.5 } }, { backend = "large" }]
"""


@pytest.fixture(scope="module")
def planned(recording, tmp_path_factory):
    folder = tmp_path_factory.mktemp("planned")
    record(folder / "made", 600, draws=2)
    (folder / "router.toml").write_text(ROUTER)
    config = load(folder / "router.toml")
    card = fit([recording], None, config, 0, folder / "bundle")
    return config, card, Bundle.load(folder / "bundle")


def test_plans_are_on_the_card_by_digest_and_those_of_several_samples_have_heads(planned):
    config, card, _ = planned
    assert card.plans == {name: plan.digest for name, plan in build_plans(config).items()}
    assert card.plan_heads == ("both", "cascade")


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
    assert hard["plan_quality/both"] == pytest.approx(0.2, abs=0.1)
    assert hard["plan_quality/cascade"] > 0.6


def test_heads_of_a_plan_whose_rules_changed_say_nothing(planned):
    config, _, bundle = planned
    digests = {name: plan.digest for name, plan in build_plans(config).items()}
    served = bundle.serving(digests | {"cascade": "0" * 16})
    found = signals(served, "Which prime is the largest of group 5?")
    assert not [name for name in found if "cascade" in name]
    assert (
        found["plan_quality/both"]
        == signals(bundle, "Which prime is the largest of group 5?")["plan_quality/both"]
    )


def test_heads_follow_a_plan_that_was_only_renamed(planned):
    config, _, bundle = planned
    digests = {f"new-{name}": plan.digest for name, plan in build_plans(config).items()}
    text = "Which prime is the largest of group 5?"
    old, new = signals(bundle, text), signals(bundle.serving(digests), text)
    assert new["plan_quality/new-cascade"] == old["plan_quality/cascade"]
    assert new["plan_samples/new-cascade/1"] == old["plan_samples/cascade/1"]


def test_held_out_signals_are_not_those_of_a_fit_that_saw_the_query(recording, rows):
    fitted = fit_held_out(rows, per_fold=True)
    places = {query_id: place for place, (_, query_id) in enumerate(rows.ids)}
    predictions = HeldOut(fitted, places)
    query = recorded_query(recording, 7, "small")
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
    assert np.array_equal(one.folds[1].linear.coef, other.folds[1].linear.coef)
    assert not np.array_equal(one.folds[0].linear.coef, other.folds[0].linear.coef)


# --- the command ----------------------------------------------------------------------------------------------------


def run(*arguments: object) -> int:
    """The exit code of the command line."""
    with pytest.raises(SystemExit) as left:
        commands().main(args=["fit", *map(str, arguments)], prog_name="apportion")
    return int(left.value.code or 0)


def test_the_command_writes_a_bundle_and_prints_its_card(tmp_path, capsys):
    record(tmp_path / "made", 60)
    (tmp_path / "FIT.txt").write_text("".join(f"q{number}\n" for number in range(50)) + "\nq1\n")
    code = run(
        "--recording",
        tmp_path / "made",
        "--queries",
        tmp_path / "FIT.txt",
        "--out",
        tmp_path / "b",
        "--seed",
        3,
        "--json",
    )
    assert code == 0
    card = json.loads(capsys.readouterr().out)
    assert card["counts"]["queries"] == 50
    assert card["prices"]["small"]["price_in"] == 0.1
    assert card == json.loads((tmp_path / "b" / "card.json").read_text())
    assert card["version"] == Bundle.load(tmp_path / "b").version


def test_the_command_line_refuses_one_query_in_one_line(tmp_path, capsys):
    record(tmp_path / "made", 20)
    (tmp_path / "FIT.txt").write_text("q1\n")
    code = run("--recording", tmp_path / "made", "--queries", tmp_path / "FIT.txt", "--out", tmp_path / "b")
    assert code == 1
    said = capsys.readouterr().err
    assert said.splitlines() == ["1 of 1 queries have a reward; at least 10 are needed"]
    assert not (tmp_path / "b").exists()


def test_a_file_that_names_no_query_is_refused(tmp_path):
    (tmp_path / "FIT.txt").write_text("\n \n")
    with pytest.raises(TrainingError, match="names no query"):
        read_ids(tmp_path / "FIT.txt")


def test_a_card_can_be_told_as_json(rows):
    card = fit_bundle(rows.taken(range(50))).card
    assert json.loads(json.dumps(card.to_json())) == json.loads(json.dumps(asdict(card)))
