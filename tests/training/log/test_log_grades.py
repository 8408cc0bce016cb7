"""Verifiers over the log: grades are outcomes beside the reported ones, once per decision and grader."""

from __future__ import annotations

import dataclasses

import pytest

from router.config import RewardsConfig
from router.decisions.erase import erase_tenant
from router.domain.decision import Status
from router.shadow import SHADOW_OF, SHADOW_RUN
from training.errors import TrainingError
from training.grade import grade
from training.log.grades import grade_log, source_of
from training.log.read import read_log
from training.log.rewards import reward_decisions

NOW = 1_800_000_000.0


@pytest.fixture
def answered(traffic):
    """Decision `n`, answered with a text."""

    def make(n: int, text: str, **changes):
        plain = dataclasses.replace(traffic.decision(n), answer_text=text, answer=text, query_text="2 + 2?")
        return dataclasses.replace(plain, **changes)

    return make


def demonstrated(traffic, n: int, gold: str):
    told = traffic.told(n, value=True)
    return dataclasses.replace(told, key=f"gold{n}", kind="demonstration", metric="right", value=gold)


def test_a_verifier_judges_by_what_was_demonstrated(traffic, export, answered):
    gold = [demonstrated(traffic, n, "4") for n in (0, 1)]
    out = export([answered(0, "4"), answered(1, "5"), answered(2, "4")], gold)
    done = grade_log(out, "number", "right_number", NOW)
    assert (done.graded, done.unlabelled, done.mean) == (2, 1, 0.5)
    log = read_log(out)
    rewards = reward_decisions(log, RewardsConfig(), NOW)
    assert rewards.metrics == ("right_number",)
    assert rewards.reward[:2].tolist() == [1.0, 0.0]


def test_a_decision_is_graded_once_by_a_grader(export, answered):
    export([answered(0, "yes")])
    out = export([answered(1, "no")])
    assert grade_log(out, "{ kind = 'regex', pattern = 'yes' }", "yes", NOW).graded == 2
    again = grade_log(out, "{ kind = 'regex', pattern = 'yes' }", "yes", NOW + 1)
    assert (again.graded, again.before) == (0, 2)
    export([answered(2, "yes")])
    assert grade_log(out, "{ kind = 'regex', pattern = 'yes' }", "yes", NOW + 2).graded == 1
    assert read_log(out).outcomes.num_rows == 3


def test_a_grader_may_grade_again_under_another_metric_and_a_long_one_is_itself(export, answered):
    out = export([answered(0, "yes")])
    long = "{{ kind = 'regex', pattern = '" + "(yes)?" * 25 + "{}' }}"
    assert len(source_of(long.format("yes"))) <= 128
    for grader, metric in (
        (long.format("yes"), "one"),
        (long.format("yes"), "two"),
        (long.format("no"), "one"),
    ):
        assert grade_log(out, grader, metric, NOW).graded == 1
        assert grade_log(out, grader, metric, NOW).before == 1
    told = read_log(out).outcomes
    assert told["metric"].to_pylist() == ["one", "two", "one"]
    assert told["number"].to_pylist() == [1.0, 1.0, 0.0]


def test_the_answer_of_a_shadow_run_is_a_reference(export, answered):
    served = answered(0, "4")
    shadow = answered(
        1,
        "5",
        metadata={SHADOW_OF: served.decision_id},
        unusable_reason=SHADOW_RUN,
        request_id="",
        session_id="",
    )
    out = export([served, shadow])
    done = grade_log(out, "agrees", "as_large", NOW)
    assert (done.graded, done.unlabelled, done.mean) == (1, 1, 0.0)


def test_what_has_no_text_or_no_reply_is_not_graded(export, answered):
    out = export([answered(0, "4", query_text=None), answered(1, "4", status=Status.FAILED)])
    done = grade_log(out, "{ kind = 'regex', pattern = '4' }", "m", NOW)
    assert (done.graded, done.without_text) == (0, 1)


def test_grades_are_forgotten_with_their_decisions(traffic, export, fill, answered):
    out = export([answered(n, "4") for n in range(10)])
    grade_log(out, "{ kind = 'regex', pattern = '4' }", "m", 3.5e9)
    erase_tenant(fill(), "tenant-1", 3e9)
    export()
    log = read_log(out)
    assert (len(log), log.outcomes.num_rows, log.unjoined) == (8, 8, 0)


def test_the_command_grades_a_log(export, answered, capsys):
    out = export([answered(0, "4")])
    grade(log=out, verifier=["{ kind = 'regex', pattern = '4' }"])
    assert "1 decisions graded, mean 1.000" in capsys.readouterr().err


def test_the_command_says_what_it_can_grade(export, answered):
    with pytest.raises(TrainingError, match="--recording FOLDER or --log EXPORT"):
        grade()
    with pytest.raises(TrainingError, match="say --verifier"):
        grade(log=export([answered(0, "4")]))
