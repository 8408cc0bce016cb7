"""Whatever is broken in a live run is said: unanswered, not freed, not logged, not paid for once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from router.client import Mode, Reply, Status
from router.clients.admin_types import LoggedDecision, ServerStatus
from router.clients.values import Answer, DecisionInfo, Used
from training.live_demo.asking import LONG_TOKENS, Asked, Books, Outcome
from training.live_demo.audit import not_served, problems, servers_disagree
from training.live_demo.questions import Question, Way
from training.vllm_cpu.counters import Counters

KINDS = {"small": "single", "small-vote": "vote", "cascade": "cascade"}
INFO = DecisionInfo("small", 1.0, "utility", Mode.APPLY)


def asked(request_id: str, plan: str, way: Way = Way.WHOLE) -> Asked:
    return Asked(Question(request_id, "?", "", "", way), request_id, plan, 0)


def replied(one: Asked, text: str = "42", status: Status = Status.ANSWERED) -> Outcome:
    reply = Reply("d", one.request_id, status, (Answer(text),), Used(cost_micros=3), {}, INFO)
    return Outcome(one, one.plan, reply, streamed=text if one.question.way is Way.STREAMED else "")


def row(request_id: str, status: Status = Status.ANSWERED, tokens_out: int = 10) -> LoggedDecision:
    return LoggedDecision(
        decision_id="d",
        request_id=request_id,
        replica="r",
        sequence=1,
        created_at=0.0,
        tenant="",
        session_id="",
        decision=INFO,
        usable=True,
        unusable_reason="",
        would_plan="",
        would_propensity=0.0,
        status=status,
        answer=None,
        answer_text=None,
        confidence=None,
        usage=Used(tokens_out=tokens_out, samples=1, cost_micros=3),
        samples=(),
        query_hash="",
        query_text=None,
        error="",
    )


STATUS = ServerStatus(
    version="",
    replica="r",
    started_at=0.0,
    mode=Mode.APPLY,
    policy="utility",
    bundle="b",
    price=1.0,
    in_flight=0,
    decisions=4,
    outcomes=0,
    lost_rows=0,
    queued_rows=0,
    spooled_rows=0,
    budget_limit_micros=1000,
    budget_spent_micros=12,
    budget_reserved_micros=0,
    budget_window_s=3600.0,
    degraded=(),
    draining=False,
)
OURS = [
    replied(asked("one", "small", Way.STREAMED)),
    replied(asked("many", "small-vote")),
    replied(asked("two", "cascade")),
    Outcome(asked("left", "small", Way.LEFT), "small"),
]
BOOKS = Books(
    STATUS, {name: row(name) for name in ("one", "many", "two")} | {"left": row("left", Status.CANCELLED)}
)
SERVERS = {"m": Counters(generation_tokens=60)}


def found(ours: list[Outcome] = OURS, books: Books = BOOKS, servers: dict[str, Counters] = SERVERS) -> str:
    return "; ".join([*problems(ours, books), *not_served(ours, KINDS), *servers_disagree([books], servers)])


def test_a_run_in_order_has_no_problem() -> None:
    assert found() == ""


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (Outcome(asked("one", "small"), error="UNAVAILABLE: gone"), "one: UNAVAILABLE: gone"),
        (replied(asked("one", "small"), "", Status.ABSTAINED), "one: no answer: abstained"),
        (Outcome(asked("one", "small", Way.STREAMED), "small"), "one: no answer: the stream ended early"),
        (replace(OURS[0], streamed="4"), "one: the streamed pieces are not the answer"),
        (replace(OURS[0], plan="cascade"), "one: plan 'small' was asked for, 'cascade' served"),
    ],
)
def test_a_query_that_was_not_answered_as_asked_is_a_problem(broken: Outcome, said: str) -> None:
    assert said in found([broken, *OURS[1:]])


def test_a_kind_of_plan_that_never_occurred_is_a_problem() -> None:
    assert found([OURS[0], OURS[2], OURS[3]], replace(BOOKS)) == "no vote was served"


def test_a_left_query_that_came_to_its_end_is_a_problem() -> None:
    left = replied(asked("left", "small", Way.LEFT))
    assert "left: ended before it could be left" in found([*OURS[:3], left])
    whole = Books(STATUS, BOOKS.rows | {"left": row("left")})
    assert "left: was left, but is logged as answered" in found(books=whole)
    late = Books(STATUS, BOOKS.rows | {"left": row("left", Status.CANCELLED, LONG_TOKENS)})
    assert "left: was left, but worked off to its end" in found(books=late)


def test_what_is_not_in_the_log_is_a_problem() -> None:
    rows = {name: logged for name, logged in BOOKS.rows.items() if name != "two"}
    assert "1 queries are not in the log, the first is two" in found(books=Books(STATUS, rows))
    assert "2 rows of the log were lost" in found(books=Books(replace(STATUS, lost_rows=2), BOOKS.rows))


def test_a_ledger_that_is_not_balanced_is_a_problem() -> None:
    held = Books(replace(STATUS, budget_reserved_micros=7), BOOKS.rows)
    assert "still holds 7 micro-dollars" in found(books=held)
    more = Books(replace(STATUS, budget_spent_micros=13), BOOKS.rows)
    assert "says 13 micro-dollars were spent, the rows of the log add up to 12" in found(books=more)


def test_work_that_still_runs_on_a_server_is_a_problem() -> None:
    busy = {"m": Counters(generation_tokens=60, running=2, waiting=1)}
    assert found(servers=busy) == "m: 2 sequences still run and 1 wait"


def test_more_tokens_booked_than_generated_is_a_problem() -> None:
    assert found(servers={"m": Counters(generation_tokens=39)}) == (
        "40 generated tokens were booked, the servers count 39"
    )


def test_the_tokens_of_all_services_before_a_server_are_added_up() -> None:
    assert list(servers_disagree([BOOKS, BOOKS], {"m": Counters(generation_tokens=80)})) == []
    said = ["80 generated tokens were booked, the servers count 79"]
    assert list(servers_disagree([BOOKS, BOOKS], {"m": Counters(generation_tokens=79)})) == said
