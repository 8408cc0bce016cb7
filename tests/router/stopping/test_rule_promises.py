"""What each rule promises, against a truth that is known because it was simulated."""

from __future__ import annotations

import numpy as np
import pytest

from predictors.observation import Message, Observation, Part, Query, Sample, Tally
from predictors.pass_rate import pass_rate
from router.domain.verdict import Action
from router.errors import ConfigError
from router.stopping.agreement import Agreement
from router.stopping.beta import Beta, stays_ahead
from router.stopping.confident import Confident
from router.stopping.dirichlet import Dirichlet, is_largest
from router.stopping.entropy import Entropy, entropy
from router.stopping.first_finish import FirstFinish
from router.stopping.hopeless import Hopeless
from router.stopping.instance_adaptive import InstanceAdaptive, lower_pass_rate, samples_needed
from router.stopping.lock_in import LockIn
from router.stopping.not_before import NotBefore
from router.stopping.vote_replay import stops
from router.stopping.window import Window

QUERY = Query(request_id="r", messages=(Message("user", (Part(text="?"),)),))


def drawn_runs(seed: int, shares: np.ndarray, length: int) -> np.ndarray:
    """One run of answer classes for every row of `shares` (runs, classes)."""
    rng = np.random.default_rng(seed)
    drawn = rng.random((len(shares), length, 1))
    return np.asarray((drawn > np.cumsum(shares, axis=1)[:, None, :-1]).sum(axis=2))


@pytest.mark.parametrize(("a", "b"), [(1, 0), (4, 1), (7, 3), (30, 21), (600, 520)])
def test_beta_is_the_posterior_of_the_leader(a, b):
    """Shares drawn from the uniform prior, and kept where they give these votes: that is the posterior."""
    drawn = np.random.default_rng(5).beta(a + 1, b + 1, 200_000)
    assert stays_ahead(a, b) == pytest.approx((drawn > 0.5).mean(), abs=4e-3)


@pytest.mark.parametrize(
    "votes", [(1, 1), (5, 1, 1), (4, 3, 3), (9, 2, 1, 1, 1), (3, 3, 3, 3, 1), (40, 31, 29), (60, *[1] * 40)]
)
def test_dirichlet_is_the_posterior_of_the_leader(votes):
    drawn = np.random.default_rng(5).dirichlet(np.array(votes) + 1.0, 100_000)
    assert is_largest(votes) == pytest.approx((drawn.argmax(axis=1) == 0).mean(), abs=6e-3)


def test_two_answers_are_judged_alike_by_beta_and_dirichlet():
    pairs = [(a, b) for a in range(1, 40) for b in range(1, a + 1)]
    assert [is_largest(pair) for pair in pairs] == pytest.approx(
        [stays_ahead(*pair) for pair in pairs], abs=2e-6
    )


@pytest.mark.parametrize("rule", [Beta(0.9), Dirichlet(0.9)], ids=["beta", "dirichlet"])
def test_looked_at_once_the_leader_is_the_mode_as_often_as_it_says(rule):
    """Shares from the rule's own prior: of the votes that settle it at the twelfth sample, nine in ten are the mode's."""
    shares = np.random.default_rng(1).dirichlet([1.0, 1.0], 20_000)
    votes = np.random.default_rng(2).binomial(12, shares[:, 0])
    counts = np.stack([votes, 12 - votes], axis=1)
    settled = np.array([rule.settled([count for count in row if count], 0) for row in counts.tolist()])
    assert settled.sum() > 5_000
    assert (counts.argmax(axis=1) == shares.argmax(axis=1))[settled].mean() >= 0.9


def test_lock_in_loses_nothing():
    shares = np.random.default_rng(1).dirichlet([1.0, 0.7, 0.4], 4_000)
    classes = drawn_runs(2, shares, 15)
    until = stops(LockIn(), classes)
    assert until.mean() < 13  # it saves something
    for run, drawn in zip(classes, until, strict=True):
        assert np.bincount(run[:drawn], minlength=3).argmax() == np.bincount(run, minlength=3).argmax()


def test_lock_in_stops_no_later_than_it_may():
    """One sample before it stopped the rest could still have drawn level."""
    classes = drawn_runs(3, np.random.default_rng(1).dirichlet([1.0, 1.0, 1.0], 500), 11)
    for run, drawn in zip(classes, stops(LockIn(), classes), strict=True):
        first, second = np.sort(np.bincount(run[: drawn - 1], minlength=3))[::-1][:2]
        assert first - second <= 11 - (drawn - 1)


def test_agreement_stops_with_the_votes_it_needs_and_not_before():
    classes = drawn_runs(4, np.full((300, 3), 1 / 3), 20)
    for run, drawn in zip(classes, stops(Agreement(4), classes), strict=True):
        assert np.bincount(run[:drawn]).max() == 4
        assert np.bincount(run[: drawn - 1]).max() == 3


def test_entropy_stops_where_the_shares_say_so():
    classes = drawn_runs(5, np.random.default_rng(1).dirichlet([2.0, 0.5, 0.5], 300), 20)
    for run, drawn in zip(classes, stops(Entropy(0.4), classes), strict=True):
        share = np.bincount(run[:drawn]) / drawn
        exact = -(share[share > 0] * np.log(share[share > 0])).sum()
        assert drawn == 20 or exact <= 0.4 + 1e-12
        assert entropy(np.bincount(run[:drawn])[share > 0].tolist(), int(drawn)) == pytest.approx(exact)


def test_a_window_errs_as_often_as_a_run_of_the_minority_comes_first():
    """After a single b: q + p q P, so P = q / (1 - p q); from the start q P or, over an a, p q P."""
    p, q = 2 / 3, 1 / 3
    chance = q * q * (1 + p) / (1 - p * q)
    classes = drawn_runs(6, np.tile([p, q], (20_000, 1)), 40)
    until = Window(2).stops(classes)
    wrong = classes[np.arange(len(classes)), until - 1] == 1
    assert wrong.mean() == pytest.approx(chance, abs=0.01)


def test_the_samples_of_instance_adaptive_hold_a_right_one():
    """Pass rates from the predicted Beta: in nine queries of ten the n samples cover with at least C = .9."""
    m1, m2 = 0.7, 0.55
    rates = np.random.default_rng(3).beta(*pass_rate(m1, m2), 50_000)
    needed = samples_needed(lower_pass_rate(m1, m2, 0.1), 0.9)
    assert (1 - (1 - rates) ** needed >= 0.9).mean() == pytest.approx(0.9, abs=0.01)
    assert (1 - (1 - rates) ** max(1, needed - 1) >= 0.9).mean() < 0.9


def test_without_a_prediction_instance_adaptive_draws_everything():
    seen = Observation(QUERY, (Sample("0.0", "small", answer_class=0),), tally=Tally((1,), ("a",), 1))
    assert InstanceAdaptive().verdict(seen, {}).action is Action.MORE


def test_what_confident_keeps_is_right_as_often_as_the_threshold_says():
    rng = np.random.default_rng(8)
    stated = rng.random(20_000)
    right = rng.random(20_000) < stated  # calibrated
    seen = Observation(QUERY, (Sample("0.0", "small", answer_class=0),), tally=Tally((1,), ("a",), 1))
    rule = Confident(0.8)
    kept = [rule.verdict(seen, {"sample_confidence": p}).action is Action.ENOUGH for p in stated.tolist()]
    assert right[np.array(kept)].mean() >= 0.8


def test_what_hopeless_gives_up_is_rarely_right():
    """True pass rates are uniform, every sample's confidence is its query's: the mean of those given up is below."""
    rng = np.random.default_rng(9)
    rates = rng.random(2_000)
    samples = tuple(Sample(f"0.{index}", "small", answer_class=0) for index in range(20))
    seen = Observation(QUERY, samples, tally=Tally((20,), ("a",), 20), max_samples=30)
    rule = Hopeless(pass_rate=0.15)
    given_up = np.array(
        [
            rule.verdict(seen, {f"sample_confidence/0.{index}": rate for index in range(20)}).action
            is Action.ESCALATE
            for rate in rates.tolist()
        ]
    )
    assert given_up.sum() > 100
    assert rates[given_up].max() < 0.15


def test_first_finish_waits_for_an_answer():
    cut = Observation(QUERY, (Sample("0.0", "small"),), tally=Tally((), (), 1))
    assert FirstFinish().verdict(cut, {}).action is Action.MORE


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Agreement(0), "agreement: needed"),
        (lambda: Beta(0.5), "beta: threshold"),
        (lambda: Dirichlet(1.0), "dirichlet: threshold"),
        (lambda: Window(1), "window: size"),
        (lambda: Entropy(-1.0), "entropy: at_most"),
        (lambda: Entropy(votes=1), "entropy: votes"),
        (lambda: FirstFinish(0), "first_finish: needed"),
        (lambda: InstanceAdaptive(coverage=1.0), "instance_adaptive: coverage"),
        (lambda: InstanceAdaptive(quantile=0.0), "instance_adaptive: quantile"),
        (lambda: Hopeless(samples=1), "hopeless: samples"),
        (lambda: Hopeless(pass_rate=1.0), "hopeless: pass_rate"),
        (lambda: NotBefore(samples=0), "not_before: samples"),
    ],
)
def test_an_option_outside_its_range_is_refused(build, message):
    with pytest.raises(ConfigError, match=message):
        build()
