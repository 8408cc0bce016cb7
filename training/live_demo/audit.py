"""What must hold after a live run, whatever was won: everything answered, freed, logged, and paid for once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from router.client import Status
from training.live_demo.asking import LONG_TOKENS, Books, Outcome
from training.live_demo.questions import Way
from training.vllm_cpu.counters import Counters


def problems(outcomes: Sequence[Outcome], books: Books) -> list[str]:
    """What is broken, in words; empty: nothing. `outcomes`: of all passes through the service of these books."""
    return [*_answers(outcomes), *_left(outcomes, books), *_ledger(outcomes, books)]


def _answers(outcomes: Sequence[Outcome]) -> Iterator[str]:
    for outcome in outcomes:
        asked = outcome.asked
        if outcome.error:
            yield f"{asked.request_id}: {outcome.error}"
        elif asked.question.way is not Way.LEFT and not outcome.answered:
            status = "the stream ended early" if outcome.reply is None else outcome.reply.status.value
            yield f"{asked.request_id}: no answer: {status}"
        elif asked.question.way is Way.STREAMED and outcome.reply and outcome.streamed != outcome.reply.text:
            yield f"{asked.request_id}: the streamed pieces are not the answer"
        if asked.plan and outcome.plan and outcome.plan != asked.plan:
            yield f"{asked.request_id}: plan {asked.plan!r} was asked for, {outcome.plan!r} served"


def not_served(outcomes: Sequence[Outcome], kinds: Mapping[str, str]) -> Iterator[str]:
    """The kinds of plans that nobody was given; `kinds`: plan -> kind."""
    seen = {kinds.get(outcome.plan) for outcome in outcomes if outcome.answered}
    for kind in ("single", "vote", "cascade"):
        if kind not in seen:
            yield f"no {kind} was served"


def _left(outcomes: Sequence[Outcome], books: Books) -> Iterator[str]:
    for outcome in outcomes:
        if outcome.asked.question.way is not Way.LEFT or outcome.error:
            continue
        row = books.rows.get(outcome.asked.request_id)
        if outcome.reply is not None:
            yield f"{outcome.asked.request_id}: ended before it could be left"
        elif row is not None and row.status is not Status.CANCELLED:
            yield f"{outcome.asked.request_id}: was left, but is logged as {row.status.value}"
        elif row is not None and row.usage.tokens_out >= LONG_TOKENS * max(1, row.usage.samples):
            yield f"{outcome.asked.request_id}: was left, but worked off to its end"


def _ledger(outcomes: Sequence[Outcome], books: Books) -> Iterator[str]:
    missing = [outcome.asked.request_id for outcome in outcomes if outcome.asked.request_id not in books.rows]
    if missing:
        yield f"{len(missing)} queries are not in the log, the first is {missing[0]}"
    status = books.status
    if status.lost_rows:
        yield f"{status.lost_rows} rows of the log were lost"
    if status.budget_reserved_micros:
        yield f"the ledger still holds {status.budget_reserved_micros} micro-dollars in reserve"
    if status.budget_spent_micros != books.spent_micros:
        yield (
            f"the ledger says {status.budget_spent_micros} micro-dollars were spent, "
            f"the rows of the log add up to {books.spent_micros}"
        )


def servers_disagree(every: Sequence[Books], servers: Mapping[str, Counters]) -> Iterator[str]:
    """What the servers count otherwise than the books of all services say; `servers`: model -> over all passes."""
    for model, counted in servers.items():
        if not counted.at_rest:
            yield f"{model}: {counted.running} sequences still run and {counted.waiting} wait"
    booked = sum(row.usage.tokens_out for books in every for row in books.rows.values())
    generated = sum(counted.generation_tokens for counted in servers.values())
    if booked > generated:
        yield f"{booked} generated tokens were booked, the servers count {generated}"
