"""Heads over samples whose states are missing, of one class alone, of several widths, or tell nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from predictors.observation import Piece, Sample, Tally
from predictors.sample_head import SampleHead
from training.fit.rows import FitRows, LabelledSample
from training.fit.samples import fit_sample_head
from training.fit.states import ENOUGH

QUERIES = 120


def rows_of_states(states: list[np.ndarray | None], rewards: np.ndarray) -> FitRows:
    """One sample per query; its length tells what is right a little."""
    rng = np.random.default_rng(1)
    samples = []
    for query, (state, reward) in enumerate(zip(states, rewards.tolist(), strict=True)):
        text = "It is so. " * int(1 + 2 * reward + rng.integers(0, 3))
        sample = Sample(f"{query}", "small", text=text, answer="4", hidden=state)
        samples.append(LabelledSample(query, sample, reward))
    nothing = np.zeros((len(states), 1))
    texts = tuple(f"question {query}" for query in range(len(states)))
    return FitRows(texts, ("small",), rewards[:, None], nothing, nothing + 5, nothing > 0, tuple(samples))


def head_of(rows: FitRows) -> SampleHead | None:
    n = len(rows.texts)
    return fit_sample_head(rows, np.full((n, 1), 0.5), np.full((n, 1), 5.0), np.arange(n) % 5, 0).head


def said(head: SampleHead, sample: Sample) -> float:
    return head.predict(sample, "question", Tally((1,), ("4",), 1), 0, 0.5, 5.0)


def telling(seed: int = 0, width: int = 6) -> tuple[list[np.ndarray | None], np.ndarray]:
    rng = np.random.default_rng(seed)
    rewards = (rng.random(QUERIES) < 0.5).astype(float)
    return [(rng.normal(size=width) + 3 * reward).astype(np.float16) for reward in rewards], rewards


def test_where_all_answers_are_right_or_all_wrong_there_is_nothing_to_fit():
    states, rewards = telling()
    for one in (0.0, 1.0):
        assert head_of(rows_of_states(states, np.full_like(rewards, one))) is None


def test_where_those_with_states_are_all_right_the_head_without_judges_them():
    states, rewards = telling()
    known = [state if reward == 1 else None for state, reward in zip(states, rewards, strict=True)]
    assert sum(state is not None for state in known) >= 40
    head = head_of(rows_of_states(known, rewards))
    assert head is not None
    assert head.states is None


@pytest.mark.parametrize(("known", "there"), [(ENOUGH - 1, False), (ENOUGH, True)])
def test_too_few_states_are_left_out_and_enough_are_read_beside_many_without(known: int, there: bool):
    states, rewards = telling()
    some = [state if at < known else None for at, state in enumerate(states)]
    rows = rows_of_states(some, rewards)
    head = head_of(rows)
    assert head is not None
    assert (head.states is not None) == there
    p = np.array([said(head, row.sample) for row in rows.samples])
    assert np.isfinite(p).all()
    assert p[rewards == 1].mean() > p[rewards == 0].mean() + 0.1


def test_of_several_widths_the_commonest_is_read_and_the_rest_judged_without():
    states, rewards = telling()
    mixed = [state if at % 4 else np.ones(9, np.float16) for at, state in enumerate(states)]
    head = head_of(rows_of_states(mixed, rewards))
    assert head is not None
    assert head.states is not None
    assert head.states.probes["small"].width == 6
    sample = rows_of_states(states, rewards).samples[0].sample
    other = replace(sample, hidden=np.ones(9, np.float16))
    assert said(head, other) == said(head, replace(sample, hidden=None))
    assert said(head, sample) != said(head, other)


@pytest.mark.parametrize("value", [0.0, 2.5, np.nan, np.inf])
def test_states_that_are_all_equal_add_nothing_and_break_nothing(value: float):
    _, rewards = telling()
    equal = [np.full(6, value, np.float16)] * QUERIES
    rows = rows_of_states(list(equal), rewards)
    head = head_of(rows)
    assert head is not None
    for row in rows.samples[:20]:
        assert 0.0 <= said(head, row.sample) <= 1.0
        assert said(head, row.sample) == said(head, replace(row.sample, hidden=np.zeros(6, np.float16)))


def test_a_single_fold_with_both_classes_or_one_right_answer_among_many_is_enough_to_say_something():
    states, rewards = telling()
    lonely = np.zeros_like(rewards)
    lonely[7] = 1.0
    head = head_of(rows_of_states(states, lonely))
    if head is not None:  # where nothing is better than the base rate, that is said
        p = np.array([said(head, row.sample) for row in rows_of_states(states, lonely).samples])
        assert np.isfinite(p).all()
        assert p.mean() < 0.1


def test_many_samples_of_a_few_queries_are_no_reason_to_fail():
    """With three queries a probe on the prompt alone would be fitted on two of them, or on one."""
    rng, samples = np.random.default_rng(0), []
    pieces = (Piece("prompt_last", 3, 4), Piece("answer_mean", 3, 4))
    for query in range(3):
        for index in range(40):
            reward = float(rng.random() < 0.5)
            state = np.concatenate([np.full(4, query), rng.normal(size=4) + 3 * reward]).astype(np.float16)
            sample = Sample(
                f"{query}.{index}", "small", text="It is so.", answer="4", hidden=state, pieces=pieces
            )
            samples.append(LabelledSample(query, sample, reward))
    nothing = np.zeros((3, 1))
    rows = FitRows(
        ("a", "b", "c"), ("small",), nothing + 0.5, nothing, nothing + 5, nothing > 0, tuple(samples)
    )
    for folds in (np.array([0, 1, 2]), np.array([0, 0, 1])):
        head = fit_sample_head(rows, nothing + 0.5, nothing + 5.0, folds, 0).head
        if head is not None:
            assert np.isfinite([said(head, row.sample) for row in samples[:10]]).all()
