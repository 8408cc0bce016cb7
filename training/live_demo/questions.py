"""What is asked, and how: held-out queries; some streamed, some left in the middle, some plans forced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from router.first_decision.draw import unit
from router.recording import RecordedQuery
from router.recordings.text_split import split_by_text
from training.errors import NotEnoughData

HELD_OUT = 0.2  # share of the recording that the bundle is not fitted on
ROUND = 10  # queries in which everything occurs once
LEFT_AT, VOTE_AT, CASCADE_AT, STREAMED_EVERY = 9, 3, 6, 3


class Way(Enum):
    """How a query is asked."""

    WHOLE = "whole"
    STREAMED = "streamed"
    LEFT = "cancelled"  # asked for a long answer, and left at the first piece of text


@dataclass(frozen=True, slots=True)
class Question:
    """One live query. The gold answer stays in this process: the service never sees it."""

    query_id: str
    text: str
    task: str
    gold: str
    way: Way
    # "vote" | "cascade": the kind of plan that the caller insists on; "": the policy chooses
    forced: str = ""


def held_out(queries: Sequence[RecordedQuery], seed: int) -> tuple[list[str], list[RecordedQuery]]:
    """Ids to fit on, and the queries that nothing is learned from: a split by text, gold known for the latter."""
    part = split_by_text([query.query for query in queries], (1 - HELD_OUT, HELD_OUT), seed)
    fit_ids = [query.query_id for query, where in zip(queries, part, strict=True) if where == 0]
    kept = [query for query, where in zip(queries, part, strict=True) if where == 1]
    return fit_ids, [query for query in kept if query.gold is not None]


def questions(kept: Sequence[RecordedQuery], count: int, seed: int) -> list[Question]:
    """`count` of the held-out queries, all kinds in turn. Of every ten one is left in the middle, one is a vote by
    the caller's will and one a cascade; of the others every third is streamed.

    Raises NotEnoughData where there are fewer.
    """
    if len(kept) < count:
        raise NotEnoughData(
            f"demo-vllm: {count} queries wanted, {len(kept)} are held out and have a gold answer"
        )
    by_task: dict[str, list[RecordedQuery]] = {}
    for query in sorted(kept, key=lambda query: unit(seed, "live", query.query_id)):
        by_task.setdefault(query.task or "", []).append(query)
    in_turn = sorted(
        (
            (turn, unit(seed, "kind", task), query)
            for task, some in by_task.items()
            for turn, query in enumerate(some)
        ),
        key=lambda item: item[:2],
    )
    return [_question(place, query) for place, (_, _, query) in enumerate(in_turn[:count])]


def _question(place: int, query: RecordedQuery) -> Question:
    turn = place % ROUND
    way = Way.STREAMED if place % STREAMED_EVERY == 0 else Way.WHOLE
    forced = {VOTE_AT: "vote", CASCADE_AT: "cascade"}.get(turn, "")
    if turn == LEFT_AT:  # of four: one chosen by the policy, one vote, one cascade, one chosen by the policy
        way, forced = Way.LEFT, ("", "vote", "cascade")[place // ROUND % 3]
    return Question(query.query_id, query.query, query.task or "", query.gold or "", way, forced)
