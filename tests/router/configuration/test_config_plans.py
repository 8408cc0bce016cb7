"""Plug-ins and plans of router.toml: unknown names and options, plans that cannot do what they say.

Each row is a file with one mistake; the line that must be named ends in `#!`.
"""

from __future__ import annotations

import pytest

from router.configuration.file import load

SMALL = '[backends.small]\nurls = ["http://127.0.0.1:1"]\nmodel = "m"\n'
ONE = '[[plans]]\nname = "one"\nstages = [{ backend = "small" }]\n'
GOOD = SMALL + ONE


def stage(text: str) -> str:
    return f'{SMALL}[[plans]]\nname = "one"\nstages = [\n  {{ backend = "small", {text} }}, #!\n]\n'


def first_of_two(text: str) -> str:
    return stage(text).removesuffix("]\n") + '  { backend = "small", temperature = 0.5 },\n]\n'


def top(text: str) -> str:
    return f"{text} #!\n{GOOD}"


WRONG = [
    # plug-ins
    (
        stage("stop = 'agrement'"),
        "stages[0].stop: unknown stopping rule 'agrement'",
        "choose from agreement, all_of, any_of",
        "did you mean 'agreement'?",
    ),
    (stage("stop = { needed = 2 }"), "stages[0].stop: wants kind = one of agreement,"),
    (
        stage("stop = { kind = 'agreement', need = 2 }"),
        "stop.need: unknown option of agreement 'need'",
        "'needed'?",
    ),
    (stage("stop = { kind = 'never', at = 2 }"), "stop.at: unknown option of never 'at'; it has no options"),
    (stage("stop = { kind = 'agreement', needed = 0 }"), "stop.needed: needed must be at least 1, got 0"),
    (stage("stop = { kind = 'agreement', needed = 'two' }"), "stop.needed: wants a whole number, got 'two'"),
    (stage("stop = { kind = 'any_of', rules = ['nevr'] }"), "stop.rules[0]: unknown stopping rule 'nevr'"),
    (
        stage("stop = { kind = 'any_of', rules = 'never' }"),
        "stop.rules: wants a list of stopping rules, got 'never'",
    ),
    (
        stage("stop = { kind = 'any_of', rules = [{ kind = 'token_cap', tokens = -1 }] }"),
        "rules[0].tokens:",
        "-1",
    ),
    (stage("stop = 'any_of'"), "stages[0].stop: any_of without rules does nothing"),
    (
        stage("select = 'mayority'"),
        "stages[0].select: unknown selector 'mayority'",
        "did you mean 'majority'?",
    ),
    (stage("verifier = 'exakt'"), "stages[0].verifier: unknown verifier 'exakt'", "did you mean 'exact'?"),
    (stage("verifier = 'exact'"), "stages[0].verifier: this verifier needs gold"),
    (stage("verifier = 'agrees'"), "stages[0].verifier: this verifier needs references"),
    (stage("prompt = 'reason'"), "stages[0].prompt: unknown prompt 'reason'; there are none"),
    (top("policy = 'utilty'"), "policy: unknown policy 'utilty'", "did you mean 'utility'?"),
    (top("policy = { kind = 'softmax', floor = 2.0 }"), "policy.floor: floor must lie in [0, 1], got 2.0"),
    (top("policy = 'fixed'"), "policy: fixed names no plan in 'plan'; choose from one"),
    (top("policy = { kind = 'fixed', plan = 'two' }"), "policy.plan: unknown plan 'two'; choose from one"),
    (
        top("policy = { kind = 'threshold', then = 'one', otherwise = 'one' }"),
        "policy: threshold names no signal",
    ),
    (
        top("policy = { kind = 'threshold', then = 'one', otherwise = 'one', signal = 'p_correct/big' }"),
        "policy.signal: unknown backend in signal 'p_correct/big'",
        "choose from small",
    ),
    (top("answers = 'nuber'"), "answers: unknown answer kind 'nuber'", "did you mean 'number'?"),
    (GOOD + "[answers_by_task]\nmaths = 'mat' #!\n", "answers_by_task.maths: unknown answer kind 'mat'"),
    # impossible plans
    ("#!\n" + "plans = []\n" + SMALL, "there are no plans"),
    (SMALL + "[[plans]] #!\nname = 'a'\nstages = []\n", "plans[0]: stages is empty"),
    (
        SMALL + "[[plans]]\nname = 'a'\nstages = [{ backend = 'smal' }] #!\n",
        "unknown backend 'smal'",
        "'small'?",
    ),
    (
        SMALL
        + ONE
        + "[[plans]]\nname = 'one' #!\nstages = [{ backend = 'small', width = 1, max_tokens = 9 }]\n",
        "plans[1].name: two plans are named 'one'",
    ),
    (
        SMALL + ONE + "[[plans]] #!\nname = 'two'\nstages = [{ backend = 'small', max_samples = 1 }]\n",
        "plans[1]: plan 'two' does exactly what plan 'one' does",
    ),
    (
        SMALL + "[[plans]]\nname = ' ' #!\nstages = [{ backend = 'small' }]\n",
        "plans[0].name: a plan's name is",
    ),
    (top("reference = 'two'"), "reference: unknown plan 'two'; choose from one"),
    (top("untrained = 'on'"), "untrained: unknown plan 'on' (did you mean 'one'?); choose from one"),
    (
        "#!\n" + SMALL + "[[plans]]\nname = 'vote'\nstages = [{ backend = 'small', max_samples = 3 }]\n",
        "say which plan is the reference",
        "choose from vote",
    ),
    (
        first_of_two("stop = { kind = 'token_cap', tokens = 1 }"),
        "stop: always ends the plan",
        "never be reached",
    ),
    (stage("gate = { signal = 'p_correct/small', at_least = 1.5 }"), "gate: never opens", "never be reached"),
    (stage("gate = { signal = 'novelty', at_least = 0.5, below = 0.5 }"), "gate: never opens"),
    (stage("gate = { signal = 'novelty' }"), "gate: has neither at_least nor below"),
    (stage("gate = { at_least = 0.5 }"), "gate: names no signal"),
    (
        stage("gate = { signal = 'novelty', atleast = 0.5, below = 0.9 }"),
        "gate.atleast: unknown key",
        "'at_least'?",
    ),
    (stage("gate = { signal = 'novelty', below = '50%' }"), "gate.below: wants a number, got '50%'"),
    (stage("gate = { signal = 'p_correct/big', below = 0.9 }"), "gate.signal: unknown backend in signal"),
    (stage("gate = { signal = 'plan_quality/big', below = 0.9 }"), "gate.signal: unknown plan in signal"),
    (stage("gate = { signal = 'gain/small/big', below = 0.9 }"), "gate.signal: unknown pair of backends"),
    (
        stage("max_samples = 4, select = { kind = 'judge', backend = 'big' }"),
        "select.backend: unknown backend 'big'",
    ),
    (stage("max_samples = 4, select = 'pairwise'"), "pairwise without backend does nothing"),
    (
        stage("max_samples = 4, select = { kind = 'judge', backend = 'small', candidates = 1 }"),
        "select.candidates: candidates must be at least 2",
    ),
    (
        stage("max_samples = 4, stop = { kind = 'learned_stop', weights = [0.1, 0.2] }"),
        "stop.weights: weights must be none or 9",
    ),
    (
        stage("stop = { kind = 'confident', signal = 'p_correct/big' }"),
        "stop.signal: unknown backend in signal",
    ),
    (
        stage("max_samples = 4, stop = 'majority_certificate'"),
        "stop: can never be satisfied by max_samples = 4",
        "at least 8 that agree",
    ),
    (
        stage("max_samples = 2, stop = { kind = 'agreement', needed = 3 }"),
        "can never be satisfied",
        "at least 3",
    ),
]


@pytest.mark.parametrize(
    ("text", "words"), [(text, words) for text, *words in WRONG], ids=[row[1] for row in WRONG]
)
def test_a_wrong_plan_is_named_with_its_line(refused, text, words):
    said = refused(text)
    assert [word for word in words if word not in said] == []


@pytest.mark.parametrize(
    "stop", ["{ kind = 'hop', to = 'small', margin = 0.2 }", "{ kind = 'confident', threshold = 0.01 }"]
)
def test_a_rule_that_may_go_on_is_taken(tmp_path, stop):
    file = tmp_path / "router.toml"
    file.write_text("reference = 'one'\n" + first_of_two(f"stop = {stop}"), "utf-8")
    assert [len(plan.stages) for plan in load(file).plans] == [2]
