"""`value_of_next` and `apportion` in the benchmark are the rule that serves; a verifier's budget goes where it pays."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from router.stopping.vote_replay import stops
from training.sampling.by_expectation import TUNED, UNTUNED, USUAL, by_expectation
from training.sampling.candidates import Candidates, luck
from training.sampling.expected import MOST_JUDGED, Expected, worth_judging
from training.sampling.problem import Problem
from training.sampling.runs import Runs, leaders
from training.sampling.worth import ODDS, OWN, Lattice, first_true, worth_of
from training.suites.sampling.verified import allocated, shrunk


def runs_like(problem_most: int, queries: int, seed: int, *, alike: int = 0) -> Runs:
    """Runs of made votes, some samples without one; of the first `alike` queries all samples say the same."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet([2.0, 1.0, 0.5, 0.5], queries)
    classes = np.array([rng.choice([-1, 0, 1, 2], problem_most, p=share[[3, 0, 1, 2]]) for share in shares])
    classes[:alike] = 0
    votes: list[tuple[int, ...]] = []
    drawn: list[int] = []
    number: dict[tuple[tuple[int, ...], int], int] = {}
    state = np.empty((1, queries, problem_most), np.int32)
    for query, run in enumerate(classes):
        for at in range(problem_most):
            seen = run[: at + 1]
            counts = np.bincount(seen[seen >= 0], minlength=1)
            key = (tuple(sorted(counts[counts > 0].tolist(), reverse=True)), at + 1)
            if key not in number:
                number[key] = len(number)
                votes.append(key[0])
                drawn.append(key[1])
            state[0, query, at] = number[key]
    right = rng.random((1, queries, problem_most)).astype(np.float32)
    return Runs(
        SimpleNamespace(most=problem_most),  # type: ignore[arg-type]
        classes[None],
        classes[None].astype(np.int16),
        leaders(classes)[None],
        right,
        state,
        tuple(votes),
        np.array(drawn, np.int16),
    )


@pytest.mark.parametrize(
    ("most", "queries", "lattice"),
    [
        (12, 25, Lattice((5,), TUNED.spread, (-36, -24))),
        (12, 25, Lattice((2, 8), UNTUNED.spread, (-36,))),
        (10, 25, Lattice((2, 8), UNTUNED.spread, (OWN,))),
        (12, 25, Lattice((5,), UNTUNED.spread, (OWN,))),
        (42, 3, Lattice((4,), UNTUNED.spread, (-36,))),  # more votes than the rule tells apart
    ],
)
def test_the_tables_stop_every_run_where_the_serving_rule_does(
    most: int, queries: int, lattice: Lattice
) -> None:
    runs = runs_like(most, queries, seed=most)
    worth = worth_of(runs, lattice)
    rng = np.random.default_rng(1)
    for odds in rng.choice(len(ODDS), 4, replace=False).tolist():
        for setting in range(len(lattice.settings)):
            wanted = stops(worth.rule(odds, setting), runs.classes[0], most)
            np.testing.assert_array_equal(first_true(worth.settled[odds, setting][runs.state[0]]), wanted)
            np.testing.assert_allclose(worth.samples[odds, setting], wanted)


def test_queries_whose_many_samples_all_say_the_same_are_stopped_early() -> None:
    runs = runs_like(64, 3, seed=4, alike=2)
    worth = worth_of(runs, Lattice((4,), UNTUNED.spread, (-36,)))
    assert worth.samples[ODDS.index(0), 0, :2].max() < 20


def test_untuned_is_the_rule_as_it_is_configured_without_a_word() -> None:
    runs = runs_like(10, 10, seed=3)
    rule = worth_of(runs, UNTUNED).rule(ODDS.index(0), round(USUAL.alike * 10) - 1)
    assert (rule.right, rule.concentration, rule.discount) == (0.5, USUAL.concentration, USUAL.discount)
    assert rule.alike == pytest.approx(USUAL.alike) and rule.cost == USUAL.cost == 0


def test_tuning_takes_the_fewest_samples_that_lose_no_more_than_wanted() -> None:
    samples, right = (
        np.array([[1.0] * 4, [3.0] * 4, [6.0] * 4]),
        np.array([[0.2] * 4, [0.495] * 4, [0.5] * 4]),
    )
    found = Candidates(("a", "b", "c"), samples, right, lambda *_: np.zeros(4, np.int16))
    half = np.array([True, True, False, False])
    chosen = [found.chosen(half, np.full(4, 0.5), points) for points in (0.1, 0.6, 40.0)]
    assert chosen == [2, 1, 0]


def test_a_cautious_subject_pays_for_the_noise_of_its_tuning_half() -> None:
    right = np.array([[1.0, 0.0, 1.0, 0.0], [0.5, 0.5, 0.5, 0.5]])
    samples = np.array([[1.0] * 4, [2.0] * 4])
    half, reference = np.ones(4, np.bool_), np.full(4, 0.5)
    bold = Candidates(("noisy", "steady"), samples, right, lambda *_: np.zeros(4, np.int16))
    careful = Candidates(("noisy", "steady"), samples, right, lambda *_: np.zeros(4, np.int16), careful=True)
    assert (bold.chosen(half, reference, 0.5), careful.chosen(half, reference, 0.5)) == (0, 1)


def test_what_luck_hides_grows_with_the_settings_and_the_careful_choice_loses_no_more_than_wanted() -> None:
    """Truth: of 40 settings the one with one sample less loses .02 points more, from 0 to .8; queries differ by 5.

    Nine tenths of what a query loses by chance it loses at every setting, as votes do.
    """
    rng = np.random.default_rng(0)
    true, samples = np.arange(40) * 0.02, np.broadcast_to(np.arange(40, 0, -1.0)[:, None], (40, 200))
    half, none = np.ones(200, np.bool_), np.zeros(200)
    lost: dict[bool, list[float]] = {False: [], True: []}
    hidden = []
    for _ in range(150):
        common, own = rng.normal(0, 5 * 0.9**0.5, (1, 200)), rng.normal(0, 5 * 0.1**0.5, (40, 200))
        loss = true[:, None] + common + own
        hidden.append([luck(loss[:few], samples[:few], 0.5) for few in (1, 10, 40)])
        for careful, losses in lost.items():
            found = Candidates(
                ("",) * 40, samples, -loss / 100, lambda *_: np.zeros(200, np.int16), None, careful
            )
            losses.append(float(true[found.chosen(half, none, 0.5)]))
    one, ten, forty = np.mean(hidden, axis=0)
    assert one < 0.03 < ten < forty
    assert np.mean(lost[False]) > 0.5
    assert 0.2 < np.mean(lost[True]) < 0.5


def test_a_query_is_measured_in_one_of_two_splits() -> None:
    texts = [f"question {number}" for number in range(100)]
    problem = SimpleNamespace(texts=texts, seed=3)
    one, other, next_one = (Problem.halves(problem, number) for number in (4, 5, 6))  # type: ignore[arg-type]
    assert (one + other == 1).all()
    assert (one != next_one).any() and (other != next_one).any()


def test_samples_are_judged_while_there_is_time_for_it_first_those_with_most_of_a_query() -> None:
    def problem(name: str, most: int, queries: int) -> Problem:
        return SimpleNamespace(backend=name, most=most, queries=np.zeros(queries))  # type: ignore[return-value]

    few = [problem(name, 8, 100) for name in "abcde"]
    assert worth_judging(few) == ("a", "b", "c")
    assert worth_judging([problem("large", 10, MOST_JUDGED // 10 + 1), *few]) == ("a", "b", "c")
    assert worth_judging([problem("full", 10, MOST_JUDGED // 10), *few]) == ("full", "a")
    assert worth_judging([problem("three", 3, 900), *few[:1]]) == ("a",)


def test_a_budget_goes_to_the_likeliest_first_and_stops_at_the_first_pass() -> None:
    prior = np.array([[9.0, 1.0], [1.0, 9.0], [5.0, 5.0]])
    first, ties = np.array([0, 1, 2]), np.zeros(3)  # samples before the one that passes
    assert allocated(prior, first, ties, 4, 1 / 3).tolist() == [1, 0, 0]
    assert allocated(prior, first, ties, 4, 1.0).tolist() == [1, 0, 2]
    assert allocated(prior, first, ties, 4, 4.0).tolist() == [1, 2, 3]


def test_without_a_prior_it_goes_round_the_open_queries() -> None:
    expected = Expected(np.array([0.9, 0.1, 0.5]), np.array([0.83, 0.04, 0.35]))
    prior = shrunk(expected, np.arange(3), 0.0)
    assert np.ptp(prior[:, 0] / prior.sum(axis=1)) == pytest.approx(0.0)
    even = np.full((3, 2), 1.0)
    assert allocated(even, np.array([2, 2, 0]), np.array([0.1, 0.2, 0.3]), 4, 5 / 3).tolist() == [2, 2, 1]


def test_heads_that_are_certain_stop_where_heads_that_nearly_are_do_and_share_budgets() -> None:
    runs, split = runs_like(10, 4, seed=2), SimpleNamespace(tuning=np.ones(4, np.bool_))

    def untuned(*right: float) -> list[int]:
        expected = Expected.of(np.array(right), 0.4)
        assert np.isfinite(shrunk(expected, np.arange(4), 1.0)).all()
        known = SimpleNamespace(runs=runs, learn=lambda _: expected, worth=lambda of: worth_of(runs, of))
        found = by_expectation(known)(split)  # type: ignore[arg-type]
        assert found is not None and found.default is not None and np.isfinite(found.samples).all()
        return [int(one) for one in found.stops(found.default, 0)]

    assert untuned(0.0, 1.0, 0.5, 0.2) == untuned(0.001, 0.999, 0.5, 0.2)


def test_a_good_prior_solves_more_with_half_a_sample_per_query() -> None:
    rng = np.random.default_rng(0)
    rate = rng.beta(0.5, 0.5, 2000)
    first = np.minimum(rng.geometric(np.maximum(rate, 1e-6)) - 1, 8)
    ties = rng.random(2000)
    known = np.stack([rate * 50, (1 - rate) * 50], axis=1)
    ours, theirs = (allocated(prior, first, ties, 8, 0.5) for prior in (known, np.ones((2000, 2))))
    assert ours.sum() == theirs.sum() == 1000
    assert (ours > first).sum() > (theirs > first).sum() + 300
