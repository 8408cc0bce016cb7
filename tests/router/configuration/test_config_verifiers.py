"""[verifiers]: verifiers with options under a name, for stages and for queries."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.assemble_parts import online_verifiers
from router.config import Config
from router.configuration.build_plans import build_plans
from router.configuration.file import load
from router.errors import ConfigError
from router.verifiers.regex import Regex

PLAIN = """
[backends.small]
kind = "scripted"
[[plans]]
name = "one"
stages = [{ backend = "small" }]
"""
NAMED = (
    PLAIN
    + """
[[plans]]
name = "checked"
stages = [{ backend = "small", max_samples = 3, verifier = "year" }]
[verifiers]
year = { kind = "regex", pattern = '\\d{4}' }
hook = { kind = "http", url = "http://127.0.0.1:9/", timeout_s = 1.5 }
json = "schema"
"""
)


def loaded(tmp_path: Path, text: str) -> Config:
    (tmp_path / "router.toml").write_text(text)
    return load(tmp_path / "router.toml")


def test_a_query_may_name_those_that_need_nothing_and_the_configured_ones(tmp_path):
    assert set(online_verifiers(loaded(tmp_path, PLAIN))) == {"schema"}
    assert set(online_verifiers(loaded(tmp_path, NAMED))) == {"schema", "year", "hook", "json"}


def test_a_stage_may_use_one_by_its_name(tmp_path):
    plan = build_plans(loaded(tmp_path, NAMED))["checked"]
    assert plan.stages[0].verifier == Regex(r"\d{4}")


def test_a_stage_may_write_its_options_in_place(tmp_path):
    text = NAMED.replace('verifier = "year"', 'verifier = { kind = "regex", pattern = "a+" }')
    assert build_plans(loaded(tmp_path, text))["checked"].stages[0].verifier == Regex("a+")


def test_what_it_checks_is_part_of_a_plans_digest(tmp_path):
    before = build_plans(loaded(tmp_path, NAMED))["checked"].digest
    after = build_plans(loaded(tmp_path, NAMED.replace("{4}", "{3}")))["checked"].digest
    assert before != after


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("year = { kind", "exact = { kind", "verifiers.exact: 'exact' is the name of a kind"),
        ("json = ", 'right = "exact"\njson = ', "verifiers.right: this verifier needs gold"),
        ("json = ", 'best = "judge"\njson = ', "verifiers.best: this verifier needs references"),
        ("json = ", 'any = "regex"\njson = ', "verifiers.any: regex without pattern judges nothing"),
        ("'\\d{4}'", "'('", "verifiers.year.pattern: pattern '\\(' is not one"),
        ("'\\d{4}'", "7", "verifiers.year.pattern: wants text"),
        ("pattern", "patern", "verifiers.year.patern: unknown option of regex 'patern'"),
        ("http://127.0.0.1:9/", "file:///x", "verifiers.hook.url: url wants http"),
        ('"regex"', '"regexp"', "verifiers.year.kind: unknown verifier 'regexp'"),
        ('verifier = "year"', 'verifier = "regex"', r"stages\[0\].verifier: regex without pattern"),
        ('verifier = "year"', 'verifier = "yaer"', r"stages\[0\].verifier: unknown verifier 'yaer'"),
    ],
)
def test_what_is_wrong_is_said_at_its_place(tmp_path, old, new, words):
    assert old in NAMED
    with pytest.raises(ConfigError, match=words):
        loaded(tmp_path, NAMED.replace(old, new, 1))
