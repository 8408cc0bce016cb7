from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from predictors.bundle import Bundle
from predictors.calibration import ece_debiased
from predictors.errors import FitError
from predictors.observation import Message, Part, Query
from training.fit.heads import fit_held_out, pass_rate_correlation
from training.fit.rows import FitRows

BACKENDS = ("small", "large")
TRUTH = {"prime": (0.2, 0.8), "river": (0.9, 0.9)}


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


def lengths_that_matter(count: int, backends: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Texts of one word, more or less often, and rewards whose chances rise slowly with how often."""
    rng = np.random.default_rng(seed)
    often = rng.integers(1, 60, count)
    rewards = (rng.random((count, backends)) < (0.2 + 0.6 * often / 60)[:, None]).astype(float)
    return [" ".join(["word"] * many) + f" {rng.integers(10**6)}" for many in often], rewards


def test_what_a_query_s_numbers_tell_is_added_up_where_words_tell_nothing():
    fitted = fit_held_out(plain(*lengths_that_matter(300, 2, 3)), 0, with_samples=False)
    assert fitted.query.heads.numbers is not None
    assert (fitted.query.heads.blend[:2, 3] > 0.2).all()
    found = fitted.bundle.look_many([" ".join(["word"] * many) + " 123456" for many in (3, 30, 57)])
    for backend in BACKENDS:
        low, middle, high = found[f"p_correct/{backend}"]
        assert low + 0.07 < middle < high - 0.07  # .23, .5 and .77 in truth, drawn together by 300 rows


def test_trees_that_backends_share_have_no_such_sum_beside_them():
    texts, reward = lengths_that_matter(300, 6, 4)
    rows = plain(texts, reward, tuple(f"m{place}" for place in range(6)))
    rows = replace(rows, tokens=np.full(reward.shape, 20.0))  # shared trees tell lengths, too
    heads = fit_held_out(rows, 0, with_samples=False).query.heads
    assert heads.joint is not None
    assert heads.numbers is None


def test_it_learns_which_queries_are_hard_for_which_backend(rows):
    found = fit_held_out(rows).bundle.look_many(
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
    one, again, other = (fit_held_out(part, seed).bundle.version for seed in (1, 1, 2))
    assert one == again != other


def test_metrics_of_noise_show_no_skill_and_the_base_rate_is_served():
    rng = np.random.default_rng(0)
    bundle = fit_held_out(plain(questions(300), (rng.random((300, 2)) < [0.3, 0.7]))).bundle
    assert abs(bundle.card.metrics["brier_skill/p_correct/small"]) < 0.05
    values = bundle.look_many(questions(300))["p_correct/small"]
    assert values.mean() == pytest.approx(0.3, abs=0.06)
    assert values.std() < 0.06


def test_where_there_is_nothing_to_learn_nothing_is_learned_from_other_folds_scores():
    """Labels by chance, 1,000 of them: scores of words are numbers of the row, and each was fitted on other labels."""
    words = [f"word{number}" for number in range(30)]
    rng = np.random.default_rng(1)

    def some(count: int) -> list[str]:
        return [" ".join(rng.choice(words, int(rng.integers(4, 30)))) for _ in range(count)]

    rates = np.array([0.5, 0.6])
    fitted = fit_held_out(plain(some(1000), rng.random((1000, 2)) < rates), 0, with_samples=False)
    said = fitted.bundle.look_many(some(500))
    for backend, rate in zip(BACKENDS, rates, strict=True):
        assert fitted.query.metrics[f"brier_skill/p_correct/{backend}"] < 0.01  # .02 to .04 where it leaked
        # .004 to .008 of chance were served
        assert np.mean((said[f"p_correct/{backend}"] - rate) ** 2) < 0.002


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
    bundle = fit_held_out(plain(questions(50), np.random.default_rng(0).integers(0, 2, (50, 2)))).bundle
    assert bundle.card.rho_from_prior == BACKENDS


def test_graded_rewards_are_learned_as_they_are():
    rng = np.random.default_rng(0)
    reward = np.clip(rng.normal([0.82, 0.91], 0.1, (160, 2)), 0, 1)
    found = fit_held_out(plain(questions(160), reward)).bundle.look_many(questions(160))
    assert found["p_correct/small"].mean() == pytest.approx(reward[:, 0].mean(), abs=0.015)
    assert found["gain/large/small"].mean() == pytest.approx(np.diff(reward).mean(), abs=0.02)


# --- rows that are hard to fit --------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_one_class_only_is_near_certainty_but_not_certainty(value):
    found = signals(fit_held_out(plain(questions(60), np.full((60, 2), value))).bundle, "anything")
    assert 0 < abs(found["p_correct/small"] - value) < 0.02
    assert found["gain/small/large"] == pytest.approx(0, abs=0.02)


def test_a_backend_with_three_rows_gets_a_cautious_base_rate():
    reward = np.random.default_rng(0).integers(0, 2, (100, 2)).astype(float)
    reward[3:, 1] = np.nan
    reward[:3, 1] = 1.0
    found = signals(fit_held_out(plain(questions(100), reward)).bundle, "anything")
    assert found["p_correct/large"] == pytest.approx(3.5 / 4)


def test_a_backend_without_any_reward_is_a_coin():
    reward = np.random.default_rng(0).integers(0, 2, (100, 2)).astype(float)
    reward[:, 1] = np.nan
    assert signals(fit_held_out(plain(questions(100), reward)).bundle, "anything")["p_correct/large"] == 0.5


def test_duplicates_with_different_labels_are_averaged():
    texts = ["What is the answer to this riddle of ours?"] * 100 + questions(100)
    reward = np.tile([[1.0, 1.0], [0.0, 1.0]], (100, 1))
    # else whether a number is even tells
    reward[100:, 0] = np.random.default_rng(0).permutation(reward[100:, 0])
    found = signals(fit_held_out(plain(texts, reward)).bundle, texts[0])
    assert found["p_correct/small"] == pytest.approx(0.5, abs=0.08)


def test_missing_rewards_are_left_out(rows):
    holes = rows.reward.copy()
    holes[np.random.default_rng(0).random(holes.shape) < 0.5] = np.nan
    found = fit_held_out(replace(rows, reward=holes), with_samples=False).bundle.look_many(
        ["Which prime is the largest of group 1?"]
    )
    assert found["p_correct/small"][0] == pytest.approx(0.2, abs=0.12)


@pytest.mark.parametrize("count", [1, 9])
def test_too_few_queries_are_refused_with_their_number(count):
    with pytest.raises(FitError, match=f"{count} of {count} queries have a reward; at least 10"):
        fit_held_out(plain(questions(count), np.ones((count, 2))))


def test_queries_without_any_reward_are_refused():
    with pytest.raises(FitError, match="0 of 40 queries have a reward"):
        fit_held_out(plain(questions(40), np.full((40, 2), np.nan)))


def test_empty_and_odd_texts_can_be_fitted():
    texts = ["", " ", "\n", "?", "é" * 5000] * 10 + questions(50)
    found = fit_held_out(plain(texts, np.random.default_rng(0).integers(0, 2, (100, 2)))).bundle.look_many(
        texts
    )
    assert all(np.isfinite(values).all() for values in found.values())


def test_many_backends_have_gains_for_every_ordered_pair():
    names = tuple(f"m{number}" for number in range(6))
    rng = np.random.default_rng(0)
    reward = (rng.random((300, 6)) < np.linspace(0.2, 0.9, 6)).astype(float)
    found = signals(
        fit_held_out(plain(questions(300), reward, names)).bundle, "Question number 3 about something?"
    )
    assert len([name for name in found if name.startswith("gain/")]) == 30
    assert found["gain/m5/m0"] == pytest.approx(0.7, abs=0.12)
    assert found["gain/m0/m5"] == pytest.approx(-found["gain/m5/m0"])


def test_one_backend_alone_can_be_fitted():
    found = signals(fit_held_out(plain(questions(50), np.eye(50)[:, :1], ("only",))).bundle, "anything")
    assert [name for name in found if name.startswith("gain/")] == []


def test_the_ablation_says_which_member_carries_a_head(rows):
    metrics = fit_held_out(rows, 0, with_samples=False).bundle.card.metrics
    lost = {name: value for name, value in metrics.items() if name.startswith("lost_without_")}
    assert {name.partition("/")[2] for name in lost} >= {"p_correct/small"}
    assert max(lost.values()) > 0
