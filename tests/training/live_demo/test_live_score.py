"""Right or wrong, sums, pairs and savings of a live run, on made-up outcomes."""

from __future__ import annotations

import io
import json
import math

import pytest
from rich.console import Console

from router.client import Mode, Reply, Status
from router.clients.values import Answer, DecisionInfo, Used
from training.graders import Grader, parse_grader
from training.live_demo.asking import Asked, Outcome
from training.live_demo.questions import Question, Way
from training.live_demo.score import Line, Sum, is_right, line_of, mixed, paired, sum_of
from training.live_demo.table import CASCADES, LARGE, POLICY, SMALL, VOTES, Run, as_json, print_run, savings
from training.vllm_cpu.counters import Counters


def outcome(text: str, *, task: str = "sum", gold: str = "42", status: Status = Status.ANSWERED) -> Outcome:
    question = Question("q", "17 + 25?", task, gold, Way.WHOLE)
    reply = Reply(
        decision_id="d",
        request_id="q",
        status=status,
        answers=(Answer(text),),
        usage=Used(tokens_out=7, samples=2, cost_exact=12.5),
        usage_by_backend={},
        decision=DecisionInfo("small", 1.0, "utility", Mode.APPLY),
    )
    return Outcome(Asked(question, "q", "", 0), "small", reply, latency_s=1.5)


def graders(**named: str) -> dict[str, Grader]:
    return {task: parse_grader(text) for task, text in named.items()}


@pytest.mark.parametrize(
    ("text", "right"),
    [("17 + 25 = 42.\nAnswer: 42", True), ("Answer: 43", False), ("I do not know.", False)],
)
def test_an_answer_is_right_by_its_tasks_verifier(text: str, right: bool) -> None:
    assert is_right(outcome(text), graders(sum="number")) is right


def test_what_was_not_answered_is_neither_right_nor_wrong() -> None:
    assert is_right(outcome("", status=Status.ABSTAINED), graders(sum="number")) is None
    assert is_right(Outcome(outcome("x").asked, error="UNAVAILABLE"), graders(sum="number")) is None


def test_a_line_holds_what_the_reply_said() -> None:
    line = line_of(outcome("Answer: 42"), {"small": "single"}, graders(sum="number"))
    assert (line.plan, line.kind, line.chosen, line.right) == ("small", "single", "policy", True)
    assert (line.samples, line.tokens_out) == (2, 7)
    assert line.dollars == pytest.approx(12.5e-6)


def line(query_id: str, right: bool | None, dollars: float, **more: str) -> Line:
    told = {"way": "whole", "chosen": "policy", "plan": "small", "kind": "single"} | more
    return Line(
        query_id,
        "sum",
        **told,
        samples=1,
        tokens_out=5,
        dollars=dollars,
        right=right,
        latency_s=1.0,
        first_text_s=None,
    )


OURS = [
    line("a", True, 1.0),
    line("b", False, 2.0),
    line("c", True, 3.0, chosen="caller", kind="vote", plan="small-vote"),
    line("d", None, 4.0, way="cancelled"),
]
ALWAYS_LARGE = [line("a", False, 4.0), line("b", True, 4.0), line("c", True, 12.0)]


def test_sums_leave_out_what_has_no_answer() -> None:
    some = sum_of(OURS)
    assert (some.queries, some.right, some.dollars, some.quality) == (3, 2, 6.0, 2 / 3)
    assert some.per_thousand == 2000.0
    assert math.isnan(sum_of([]).quality)


def test_pairs_say_on_how_many_only_one_was_right() -> None:
    assert paired(OURS[:2], ALWAYS_LARGE) == (1, 1)


def spent(dollars: float, right: int) -> Sum:
    return Sum(10, right, dollars, 10, 50, 1.0)


def test_a_coin_that_spends_as_much_is_right_in_proportion() -> None:
    small, large = spent(1.0, 2), spent(5.0, 8)
    assert mixed(spent(2.0, 9), small, large) == pytest.approx(3.5)
    assert mixed(spent(9.0, 9), small, large) == 8
    assert math.isnan(mixed(spent(1.0, 9), large, small))


FACTS = {"small": "small", "large": "large", "recorded": {"small": 0.125, "large": 0.5}}


def run(problems: tuple[str, ...] = ()) -> Run:
    counted = {"Apportion": {"m": Counters(900, 77, 900, 32)}, LARGE: {"m": Counters()}}
    always = {SMALL: [line(key, False, 0.5) for key in "abc"], LARGE: ALWAYS_LARGE}
    together = {"glimpse": [line(key, key != "a", 2.5) for key in "abc"]}
    return Run(OURS, always, together, counted, 12, 9, problems, FACTS)


def test_savings_compare_each_group_with_the_same_queries_of_the_large_model() -> None:
    found = savings(run())
    assert found[POLICY][POLICY]["saving"] == pytest.approx(1 - 3 / 8)
    assert found[POLICY][SMALL]["saving"] == pytest.approx(1 - 1 / 8)
    assert found[POLICY][LARGE]["saving"] == 0.0
    assert found[VOTES][VOTES]["saving"] == pytest.approx(1 - 3 / 12)
    assert found[CASCADES][CASCADES]["queries"] == 0
    both = found["glimpse: both"]
    assert both["glimpse: both"]["right"] == 2 and both[LARGE]["queries"] == 3
    assert both["glimpse: both"]["saving"] == pytest.approx(1 - 7.5 / both[LARGE]["dollars"])
    assert (found[POLICY][POLICY]["right_where_large_is_wrong"], found[POLICY][SMALL]["right"]) == (1, 0)


def test_the_tables_show_every_query_and_every_server_that_worked() -> None:
    said = io.StringIO()
    print_run(run(), Console(file=said, width=120))
    lines = said.getvalue().splitlines()
    assert sum(f" {key} " in text and "whole" in text for text in lines for key in "abc") == 3
    assert any("cancelled" in text and "left" in text for text in lines)
    assert any("62 %" in text and "1 of 2" in text for text in lines)
    assert any("900" in text and "77" in text and "32" in text for text in lines)
    assert "small is right on 12 % of them, large on 50 %" in " ".join(said.getvalue().split())
    assert CASCADES not in said.getvalue()


def test_the_json_holds_all_of_it() -> None:
    found = json.loads(json.dumps(as_json(run(("gone",))), allow_nan=False))
    assert found["savings"][CASCADES][CASCADES]["quality"] is None
    assert found["problems"] == ["gone"]
    assert found["servers"]["Apportion"]["m"]["generation_tokens"] == 77
    assert len(found["decisions"]) == 4 and len(found["always"][LARGE]) == 3
    assert found["ledger"] == {"spent_micros": 12, "rows": 9}
