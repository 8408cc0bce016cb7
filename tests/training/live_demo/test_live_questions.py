"""The live queries: nothing was learned from them, all kinds occur, and every ten of them hold every way to ask."""

from __future__ import annotations

from collections import Counter

import pytest

from router.recording import RecordedQuery
from router.recordings.text_split import normalised
from training.errors import NotEnoughData
from training.live_demo.questions import Way, held_out, questions

KINDS = ("sum", "capital", "past", "mood")
QUERIES = [
    RecordedQuery(f"{kind}-{number}", f"What about {kind} {number}?", kind, str(number))
    for kind in KINDS
    for number in range(100)
]


def test_no_live_query_shares_its_text_with_one_that_is_fitted_on() -> None:
    doubled = [
        *QUERIES,
        *(RecordedQuery(f"again-{q.query_id}", f" {q.query.upper()}", q.task, q.gold) for q in QUERIES),
    ]
    fit_ids, kept = held_out(doubled, 0)
    texts = {query.query_id: normalised(query.query) for query in doubled}
    assert not {texts[query_id] for query_id in fit_ids} & {texts[query.query_id] for query in kept}
    assert 0.1 < len(kept) / len(doubled) < 0.3


def test_queries_without_a_gold_answer_are_neither_asked_nor_fitted_on() -> None:
    ungraded = [RecordedQuery(query.query_id, query.query, query.task) for query in QUERIES]
    fit_ids, kept = held_out(ungraded, 0)
    assert kept == [] and len(fit_ids) < len(QUERIES)


def test_kinds_are_asked_in_turn() -> None:
    _, kept = held_out(QUERIES, 0)
    asked = questions(kept, 40, 0)
    assert Counter(question.task for question in asked) == dict.fromkeys(KINDS, 10)
    assert len({question.query_id for question in asked}) == 40


def test_of_forty_some_are_streamed_some_are_left_and_some_plans_are_the_callers() -> None:
    _, kept = held_out(QUERIES, 0)
    asked = questions(kept, 40, 0)
    assert Counter(question.way for question in asked) == {Way.WHOLE: 24, Way.STREAMED: 12, Way.LEFT: 4}
    answered = Counter(question.forced for question in asked if question.way is not Way.LEFT)
    assert answered == {"": 28, "vote": 4, "cascade": 4}
    assert {question.forced for question in asked if question.way is Way.LEFT} == {"", "vote", "cascade"}


def test_equal_seeds_ask_the_same_and_others_do_not() -> None:
    _, kept = held_out(QUERIES, 0)
    assert questions(kept, 20, 3) == questions(kept[::-1], 20, 3)
    assert questions(kept, 20, 3) != questions(kept, 20, 4)


def test_too_few_held_out_queries_are_counted() -> None:
    with pytest.raises(NotEnoughData, match="41 queries wanted, 2 are held out"):
        questions(QUERIES[:2], 41, 0)
