"""Which judges may label, and what their labels are."""

from __future__ import annotations

import pytest

from router.verifiers import Case
from training.errors import JudgeRefused, NotEnoughData
from training.judging.guard import AT_LENGTH, NULLS, QUERIES, below_chance


async def test_an_honest_judge_labels_better_equal_and_worse_answers(bench, tmp_path, judged, questions):
    answers = ["BEST of {query}", "To {query}: 7", "No idea", None]
    result = await judged(bench, tmp_path, "honest", questions(answers))
    assert list(result.scores.values()) != []
    assert {result.scores[key] for key in questions(answers[:1])} == {1.0}
    assert {result.scores[key] for key in questions(answers[1:2])} == {0.5}
    assert {result.scores[key] for key in questions(answers[2:])} == {0.0}
    assert result.nulls == dict.fromkeys(NULLS, 0.0)


async def test_the_judge_is_asked_shortly_and_coldly_in_both_orders(bench, tmp_path, judged, questions, real):
    await judged(bench, tmp_path, "honest", questions(["To {query}: 7"]), max_tokens=9)
    assert {(body["temperature"], body["max_tokens"]) for body in bench.bodies} == {(0.0, 9)}
    assert len(bench.bodies) == 2 * (len(NULLS) * QUERIES + len(real))
    assert 1 < bench.most_at_once <= 8


async def test_a_reference_is_not_compared_with_itself_and_ties(bench, tmp_path, judged, questions):
    same = [(case, case.references[0]) for case, _ in questions(["x"])]
    result = await judged(bench, tmp_path, "honest", same, tie=0.75)
    assert set(result.scores.values()) == {0.75}
    assert not bench.bodies


async def test_without_a_reference_nothing_is_judged(bench, tmp_path, judged):
    result = await judged(bench, tmp_path, "honest", [(Case("q"), "a"), (Case("q"), None)])
    assert set(result.scores.values()) == {None}


@pytest.mark.parametrize(
    ("model", "null", "score"),
    [("always_first", NULLS[0], 0.5), ("longest", AT_LENGTH, 1.0), ("shortest", "", 1.0), ("coin", "", None)],
)
async def test_a_judge_with_whom_empty_answers_do_well_is_refused(
    bench, tmp_path, model, null, score, judged, questions
):
    with pytest.raises(JudgeRefused, match="cannot label: against the references of 30 queries") as refused:
        await judged(bench, tmp_path, model, questions(["To {query}: 7"]))
    assert set(refused.value.null_scores) == set(NULLS)
    if score is not None:
        assert refused.value.null_scores[null] == score
        assert f"scores {score:.2f}" in str(refused.value)
    assert len(bench.bodies) == 2 * len(NULLS) * QUERIES  # and none of the real answers was paid for


async def test_a_judge_that_gives_no_verdict_is_refused(bench, tmp_path, judged, questions):
    with pytest.raises(JudgeRefused, match="no clear verdict in 90 of 90"):
        await judged(bench, tmp_path, "mumbles", questions(["To {query}: 7"]))


async def test_too_few_queries_cannot_show_that_a_judge_is_fit(bench, tmp_path, judged, questions, real):
    with pytest.raises(NotEnoughData, match="4 queries have a reference; at least 5"):
        await judged(bench, tmp_path, "honest", questions(["To {query}: 7"], real[:4]))
    assert not bench.bodies


@pytest.mark.parametrize(
    ("scores", "below"),
    [
        ([0.0] * 5, True),
        ([0.0] * 4, False),
        ([0.5] * 1000, False),
        ([0.28] * 30, True),
        ([0.3] * 30, False),
        ([], False),
    ],
)
def test_below_chance_is_a_matter_of_the_mean_and_of_how_many(scores, below):
    assert below_chance(scores) is below
