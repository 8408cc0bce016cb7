"""Probes on chosen pieces of hidden states, and the head that sees what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from predictors.errors import BundleError
from predictors.hidden_pieces import as_json, picked, read_pieces
from predictors.observation import Piece, Sample, Tally
from predictors.sample_head import SampleHead, prior_columns
from predictors.small_net import SmallNet
from predictors.state_head import StateHead
from predictors.state_probe import StateProbe
from training.fit.one_head import fit_on_rows
from training.fit.rows import FitRows, LabelledSample
from training.fit.samples import fit_sample_head
from training.fit.states import fit_probe, judged, state_rows, states_of
from training.sample_rows import sample_rows

A, B, C = Piece("prompt_last", 3, 4), Piece("answer_mean", 3, 6), Piece("answer_mean", 5, 6)
HAVE = (A, B, C)


def test_wanted_pieces_are_taken_out_of_whatever_comes_in_any_order():
    vector = np.arange(16, dtype=np.float16)
    found = picked(vector, HAVE, (C, A))
    assert found is not None
    assert found.tolist() == [10, 11, 12, 13, 14, 15, 0, 1, 2, 3]


@pytest.mark.parametrize(
    ("size", "have", "want"),
    [
        (16, HAVE, (Piece("answer_mean", 4, 6),)),
        (16, HAVE, (Piece("answer_mean", 3, 7),)),
        (15, HAVE, (A,)),
        (16, (), (A,)),
        (16, HAVE, ()),
    ],
)
def test_what_does_not_fit_is_not_looked_at(size: int, have: tuple[Piece, ...], want: tuple[Piece, ...]):
    assert picked(np.zeros(size), have, want) is None


def test_somebodys_own_vector_is_taken_whole_by_its_width():
    found = picked(np.arange(4), (), (A,))
    assert found is not None
    assert found.tolist() == [0, 1, 2, 3]


def test_pieces_come_back_from_json_and_nonsense_is_refused():
    assert read_pieces(as_json(HAVE)) == HAVE
    for wrong in (None, "x", [{"part": "a"}], [3]):
        with pytest.raises(ValueError, match="part, layer and width"):
            read_pieces(wrong)


# --------------------------------------------------------------------------------------------------------------- probes


def states(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """What is right depends on the product of two directions: no line tells it."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 10)).astype(np.float32)
    return x, (x[:, 1] * x[:, 2] > 0).astype(float)


def order(p: np.ndarray, y: np.ndarray) -> float:
    return float((p[y == 1][:, None] > p[y == 0]).mean())


def test_the_net_finds_what_no_line_tells():
    x, y = states(900, 0)
    new, truth = states(600, 1)
    net = SmallNet(penalty=3.0).fit(x, y, np.ones(len(y)), 0)
    assert order(net.predict(new), truth) > 0.85


@pytest.fixture(scope="module")
def probe() -> StateProbe:
    x, y = states(900, 0)
    return fit_probe(x, (A, B), y, np.ones(len(y)), np.arange(len(y)) % 4, 0).probe


def test_the_blend_leans_on_the_member_that_tells(probe: StateProbe):
    assert probe.blend[2] > probe.blend[1]
    new, truth = states(600, 1)
    assert order(probe.many(new), truth) > 0.8


def test_states_that_say_nothing_say_the_base_rate():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(300, 10)).astype(np.float32), (rng.random(300) < 0.3).astype(float)
    found = fit_probe(x, (), y, np.ones(300), np.arange(300) % 5, 0)
    assert np.ptp(found.probe.many(x)) < 0.25
    assert abs(found.held_out.mean() - y.mean()) < 0.05


def test_what_is_read_back_says_the_same_and_one_says_as_many(probe: StateProbe):
    new, _ = states(20, 2)
    again = StateProbe.from_arrays(probe.arrays())
    assert again.pieces == (A, B)
    assert np.array_equal(again.many(new), probe.many(new))
    assert probe.one(new[3], (A, B)) == pytest.approx(probe.many(new)[3])
    assert probe.one(np.concatenate([new[3], np.zeros(6, np.float32)]), HAVE) == pytest.approx(
        probe.many(new)[3]
    )
    assert probe.one(new[3], (B, A, C)) is None


def test_a_probe_whose_pieces_do_not_fit_its_width_is_refused(probe: StateProbe):
    with pytest.raises(BundleError, match="do not fit together"):
        StateProbe.from_arrays(replace(probe, pieces=(A,)).arrays())


# --------------------------------------------------------------------------------------------------------------- the head


def made_rows(n: int = 160, seed: int = 0) -> FitRows:
    """Two samples per query with equal texts; the state alone tells right from wrong, and so does the prompt's."""
    rng, samples = np.random.default_rng(seed), []
    easy = rng.random(n) < 0.5
    for query in range(n):
        prompt = rng.normal(size=4) + 3 * easy[query]
        for index in range(2):
            right = bool(rng.random() < (0.8 if easy[query] else 0.2))
            hidden = np.concatenate([prompt, rng.normal(size=6) + 2 * right]).astype(np.float16)
            sample = Sample(
                f"{query}.{index}", "small", text="It is 4.", answer="4", hidden=hidden, pieces=(A, B)
            )
            samples.append(LabelledSample(query, sample, float(right)))
    mean = np.array([[np.mean([row.reward for row in samples[2 * q : 2 * q + 2]])] for q in range(n)])
    nothing = np.zeros((n, 1))
    texts = tuple(f"question {query}" for query in range(n))
    return FitRows(texts, ("small",), mean, nothing, nothing + 5, nothing > 0, tuple(samples))


@pytest.fixture(scope="module")
def fitted() -> SampleHead:
    rows = made_rows()
    fit = fit_sample_head(
        rows, np.full((160, 1), 0.5), np.full((160, 1), 5.0), np.arange(160) % 5, 0, per_fold=True
    )
    assert fit.head is not None
    assert {part for part, head in fit.folds.items() if head.states is not None} == set(range(5))
    return fit.head


def confidence(head: SampleHead, sample: Sample) -> float:
    return head.predict(sample, "question", Tally((1,), ("4",), 1), 0, 0.5, 5.0)


def test_a_state_moves_the_confidence_in_a_sample_and_without_it_the_other_head_judges(fitted: SampleHead):
    rows = made_rows(seed=1)
    with_states = np.array([confidence(fitted, row.sample) for row in rows.samples])
    without = [confidence(fitted, replace(row.sample, hidden=None)) for row in rows.samples]
    assert order(with_states, np.array([row.reward for row in rows.samples])) > 0.85
    assert without == [confidence(replace(fitted, states=None), row.sample) for row in rows.samples]


def test_a_state_of_other_pieces_or_a_strange_backend_is_left_to_the_other_head(fitted: SampleHead):
    sample = made_rows().samples[0].sample
    plain = confidence(fitted, replace(sample, hidden=None))
    assert confidence(fitted, replace(sample, pieces=(A, C))) == plain
    strange = replace(sample, backend="large")
    assert confidence(fitted, strange) == confidence(fitted, replace(strange, hidden=None))


def test_the_prompts_state_says_how_likely_right_and_how_likely_agreement_is(fitted: SampleHead):
    assert fitted.states is not None
    said = [fitted.states.of_prompt(row.sample) for row in made_rows(seed=1).samples]
    assert {tuple(sorted(one)) for one in said} == {("p_agree/small", "p_right_state/small")}
    right = np.array([one["p_right_state/small"] for one in said])
    assert order(right, np.array([row.reward for row in made_rows(seed=1).samples])) > 0.7


def test_the_head_comes_back_from_its_arrays_with_its_probes(fitted: SampleHead):
    again = SampleHead.from_arrays(("small",), fitted.arrays())
    for row in made_rows(seed=2).samples[:6]:
        assert confidence(again, row.sample) == confidence(fitted, row.sample)
        assert confidence(again, replace(row.sample, hidden=None)) == confidence(
            fitted, replace(row.sample, hidden=None)
        )


def test_many_rows_are_judged_as_one_by_one(fitted: SampleHead):
    rows = made_rows(seed=1)
    half = replace(
        rows,
        samples=tuple(
            replace(row, sample=replace(row.sample, hidden=None)) if at % 3 else row
            for at, row in enumerate(rows.samples)
        ),
    )
    folds = np.zeros(160, dtype=np.int64)
    made = sample_rows(half, np.full((160, 1), 0.5), np.full((160, 1), 5.0), folds, np.random.default_rng(0))
    together = judged(fitted, made, half)
    known = {
        at: half.samples[number].sample.hidden is not None for at, number in enumerate(made.number.tolist())
    }
    with_states = np.array([together[at] for at, there in known.items() if there])
    without = np.array([together[at] for at, there in known.items() if not there])
    assert np.ptp(with_states) > 0.5 > np.ptp(without)


def test_a_live_sample_is_judged_as_its_recorded_row_to_the_last_bit(fitted: SampleHead):
    rows = made_rows(seed=1)
    firsts = replace(rows, samples=rows.samples[::2])
    priors = np.linspace(0.0, 1.0, 160)[:, None]
    folds = np.zeros(160, dtype=np.int64)
    made = sample_rows(firsts, priors, np.full((160, 1), 5.0), folds, np.random.default_rng(0))
    together = judged(fitted, made, firsts)
    assert np.ptp(together) > 0.5
    for at, number in enumerate(made.number.tolist()):
        sample = replace(firsts.samples[number].sample, answer_class=0)
        said = fitted.predict(
            sample, rows.texts[number], Tally((1,), ("4",), 1), 0, float(made.prior[at]), 5.0
        )
        assert said == together[at]


def test_a_head_of_before_whose_probes_read_states_alone_is_read_and_judges_as_it_did(fitted: SampleHead):
    rows = made_rows()
    folds = np.arange(160) % 5
    made = sample_rows(rows, np.full((160, 1), 0.5), np.full((160, 1), 5.0), folds, np.random.default_rng(0))
    mine, x, pieces = states_of(made, rows, "small")
    alone = fit_probe(x, pieces, made.y[mine], made.weight[mine], made.fold[mine], 0)
    made = made.taken(mine)
    more = np.column_stack([made.x, prior_columns(alone.held_out)]).astype(np.float32)
    of_before = fit_on_rows(replace(made, x=more), ("small",), 0).head
    assert of_before is not None
    assert of_before.linear is not None
    whole = replace(fitted, states=StateHead({"small": alone.probe}, of_before))
    again = SampleHead.from_arrays(("small",), whole.arrays())
    assert np.array_equal(judged(again, made, rows), judged(whole, made, rows))
    said = np.array([confidence(again, row.sample) for row in made_rows(seed=1).samples])
    assert order(said, np.array([row.reward for row in made_rows(seed=1).samples])) > 0.85


def test_what_is_fitted_without_a_fold_is_told_nothing_that_knows_its_labels():
    rows, folds, half = made_rows(), np.arange(160) % 4, np.full((160, 1), 0.5)
    turned = tuple(
        replace(row, reward=1 - row.reward) if folds[row.query] == 1 else row for row in rows.samples
    )
    found = []
    for samples in (rows.samples, turned):
        mine = replace(rows, samples=samples)
        made = sample_rows(mine, half, 10 * half, folds, np.random.default_rng(0))
        seen = state_rows(made, mine, 0)
        assert seen is not None
        outside = made.fold == 2
        assert np.array_equal(seen.rows.while_held_out(2).x[outside], seen.rows.x[outside])
        found.append(seen)
    for fold, equal in ((1, True), (0, False)):
        one, other = (seen.rows.while_held_out(fold).x for seen in found)
        assert np.array_equal(one, other) == equal
        first, second = (seen.probed["small"].of(fold).state.coef for seen in found)
        assert np.array_equal(first, second) == equal


def test_a_head_without_a_linear_member_is_refused_where_nothing_stands_for_it(fitted: SampleHead):
    kept = {name: array for name, array in fitted.arrays().items() if not name.startswith("linear/")}
    with pytest.raises(BundleError, match="linear"):
        SampleHead.from_arrays(("small",), kept)
