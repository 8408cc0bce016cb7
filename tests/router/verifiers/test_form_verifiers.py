"""Verifiers of an answer's form: a JSON schema, a pattern; also before texts that are made to take for ever."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from router.answering.text_check import WORKER
from router.answers import extract
from router.domain.plan import canonical
from router.errors import ConfigError
from router.verifiers import Case
from router.verifiers.regex import Regex
from router.verifiers.schema import Schema

CASE = Case("q")
CITY = '{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}'
TREE = '{"type": "object", "properties": {"next": {"$ref": "#"}}, "additionalProperties": false}'
SLOW = r"(a+)+b"
MADE_FOR_IT = "a" * 60 + "c"


@pytest.fixture(scope="module")
def city():
    return Schema(schema=CITY)


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ('{"city": "Lima"}', 1),
        ('{"city": 7}', 0),
        ('{"town": "Lima"}', 0),
        ('["city"]', 0),
        ("Lima", 0),
        ('{"city": "Lima"', 0),
        (None, 0),
    ],
)
def test_an_answer_fits_a_schema_or_not(city, answer, score):
    assert city.grade(CASE, answer) == score


@pytest.mark.parametrize(
    ("answer", "score"),
    [('{"a": [1, null]}', 1), ("12", 1), ("NaN", 0), ("{'a': 1}", 0), ("", 0), ('{"a": 1} and more', 0)],
)
def test_without_a_schema_it_is_json_or_not(answer, score):
    assert Schema().grade(CASE, answer) == score


def test_the_json_of_a_text_with_other_words_is_found_before_it_is_checked(city):
    answer = extract('Here you are:\n```json\n{"city": "Lima"}\n```\nEnjoy!', city.answer_kind)
    assert city.grade(CASE, answer) == 1


def test_a_schema_may_stand_in_a_file_and_the_digest_is_of_what_it_says(tmp_path, city):
    path = tmp_path / "city.json"
    path.write_text(CITY)
    from_file = Schema(schema=str(path))
    path.unlink()
    assert from_file.grade(CASE, '{"city": "Lima"}') == 1
    assert canonical(from_file) == canonical(city) != canonical(Schema())


def test_a_schema_may_refer_to_itself():
    tree = Schema(schema=TREE)
    assert tree.grade(CASE, '{"next": {"next": {}}}') == 1
    assert tree.grade(CASE, '{"next": {"last": {}}}') == 0


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ('{"type": "objekt"}', "'objekt' is not valid"),
        ("{", "not JSON"),
        ("nowhere.json", "neither a JSON schema nor a file"),
        ('{"$ref": "http://127.0.0.1:1/s.json"}', "refers to 'http://127.0.0.1:1/s.json'"),
        ('{"allOf": [{"$ref": "other.json#/a"}]}', "refers to 'other.json#/a'"),
    ],
)
def test_what_is_no_schema_is_refused(schema, words):
    with pytest.raises(ConfigError, match=words):
        Schema(schema=schema)


def test_a_reference_that_leads_nowhere_cannot_be_judged():
    assert Schema(schema='{"$ref": "#/$defs/missing"}').grade(CASE, "{}") is None


@pytest.mark.parametrize(
    "answer",
    ["[" * 100_000, '{"next":' * 50_000 + "{}" + "}" * 50_000, "9" * 10_000, '"' + "a" * 2_000_000 + '"'],
)
def test_a_hostile_json_does_not_pass_and_the_next_answer_is_judged(answer):
    tree = Schema(schema=TREE)
    assert tree.grade(CASE, answer) == 0
    assert tree.grade(CASE, '{"next": {}}') == 1


def test_a_pattern_in_a_schema_is_stopped_and_the_next_answer_is_judged():
    slow = Schema(schema=json.dumps({"type": "array", "items": {"pattern": f"^{SLOW}$"}}), limit_s=0.3)
    assert slow.grade(CASE, json.dumps([MADE_FOR_IT])) == 0
    assert slow._check.process.killed == 1
    assert slow.grade(CASE, '["aab"]') == 1


@pytest.mark.parametrize(
    ("pattern", "answer", "score"),
    [
        (r"\d{4}", "1999", 1),
        (r"\d{4}", "in 1999", 0),
        (r"\d{4}", "19999", 0),
        (r"(?i)yes|no", "Yes", 1),
        (r"\d{4}", "1999\n", 0),
        (r"\d{4}", None, 0),
        (r"é+", "éé", 1),
    ],
)
def test_the_whole_answer_matches_a_pattern(pattern, answer, score):
    assert Regex(pattern).grade(CASE, answer) == score


def test_a_match_that_would_take_for_ever_is_stopped_and_the_next_answer_is_judged():
    slow = Regex(SLOW, limit_s=0.2)
    assert slow.grade(CASE, MADE_FOR_IT) == 0
    assert slow._check.process.killed == 1
    assert slow.grade(CASE, "aaab") == 1


def test_an_answer_that_is_too_long_is_not_even_matched():
    short = Regex("a*", longest=5)
    assert short.grade(CASE, "aaaaaa") == 0
    assert short._check.process.worker is None


@pytest.mark.parametrize(
    ("kind", "wrong", "words"),
    [
        (Regex, {"pattern": "("}, "pattern .* is not one"),
        (Regex, {"pattern": "a", "limit_s": 0.0}, "limit_s must be"),
        (Regex, {"pattern": "a", "longest": 0}, "longest must be"),
        (Schema, {"limit_s": float("nan")}, "limit_s must be"),
        (Schema, {"longest": -1}, "longest must be"),
    ],
)
def test_options_out_of_range_are_refused(kind, wrong, words):
    with pytest.raises(ConfigError, match=words):
        kind(**wrong)


def test_a_worker_says_when_a_rule_is_none():
    question = json.dumps({"kind": "pattern", "rule": "(", "text": "a", "limit_s": 1.0})
    ran = subprocess.run(
        [sys.executable, "-P", str(WORKER)], input=question + "\n", capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["ready", "?"]
