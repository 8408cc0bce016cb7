"""router.toml as a whole: all mistakes at once, files that are none, defaults, the example."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from router import config
from router.configuration.bounds import BOUNDS
from router.configuration.file import examine, load
from router.errors import ConfigError

SMALL = '[backends.small]\nurls = ["http://127.0.0.1:1"]\nmodel = "m"\n'
ONE = '[[plans]]\nname = "one"\nstages = [{ backend = "small" }]\n'
GOOD = SMALL + ONE


def test_all_mistakes_are_said_at_once_in_the_order_of_the_file(tmp_path):
    text = "mode = 'x' #!\n" + GOOD.replace("small", "smal", 1) + "[budget]\ndollars = 'ten'\n"
    (tmp_path / "router.toml").write_text(text)
    lines = [problem.line for problem in examine(tmp_path / "router.toml").problems]
    assert lines == [1, 7, 9]


def test_a_file_without_backends_says_so_and_names_the_stage_that_wants_one(tmp_path):
    (tmp_path / "router.toml").write_text("backends = {}\n" + ONE)
    said = [problem.text for problem in examine(tmp_path / "router.toml").problems]
    assert said[0].startswith("there are no backends")
    assert said[1:] == ["unknown backend 'small'; there are none"]


def test_a_file_that_is_not_there_is_an_error_with_its_name(tmp_path):
    with pytest.raises(
        ConfigError, match=r"nothing\.toml: cannot be read: No such file.*; `apportion init` writes"
    ):
        load(tmp_path / "nothing.toml")


def test_broken_utf8_is_named_with_its_line(tmp_path):
    (tmp_path / "router.toml").write_bytes(b"mode = 'apply'\nreference = '\xff'\n")
    with pytest.raises(ConfigError, match=r"router\.toml:2: is not UTF-8: byte 0xff"):
        load(tmp_path / "router.toml")


def test_a_good_file_has_the_defaults_where_it_says_nothing(tmp_path):
    (tmp_path / "router.toml").write_text(GOOD)
    read = load(tmp_path / "router.toml")
    assert read.backends["small"].timeout_s == 120.0
    assert read.mode == "apply"
    assert read.plans[0].stages[0].stop == "never"


def test_whole_numbers_are_taken_where_fractions_may_stand(tmp_path):
    (tmp_path / "router.toml").write_text(f"{SMALL}price_in = 1\n{ONE}")
    price = load(tmp_path / "router.toml").backends["small"].price_in
    assert (price, type(price)) == (1.0, float)


def test_training_may_read_a_file_whose_bundle_is_not_made_yet(tmp_path):
    (tmp_path / "router.toml").write_text('bundle = "later"\n' + GOOD)
    assert load(tmp_path / "router.toml").bundle == "later"


def test_windows_line_ends_are_read(tmp_path):
    (tmp_path / "router.toml").write_bytes(GOOD.replace("\n", "\r\n").encode())
    assert load(tmp_path / "router.toml").plans[0].name == "one"


def test_the_example_at_the_root_is_a_good_file():
    example = Path(__file__).parents[3] / "router.example.toml"
    assert [str(problem) for problem in examine(example).problems] == []
    assert [plan.name for plan in load(example).plans] == [
        "small",
        "small-vote",
        "cascade",
        "large",
        "large-vote",
    ]


def test_the_tables_that_the_example_only_mentions_are_good_too(tmp_path):
    example = (Path(__file__).parents[3] / "router.example.toml").read_text()
    tables = [block for block in example.split("\n\n") if block.startswith("# [")]
    assert {block.split("]")[0].strip("# [") for block in tables} >= {"modes", "verifiers", "shadow"}
    for block in tables:
        example = example.replace(block, re.sub(r"^# ", "", block, flags=re.MULTILINE))
    (tmp_path / "router.toml").write_text(example)
    (tmp_path / "tokens.toml").write_text("")
    assert [str(problem) for problem in examine(tmp_path / "router.toml").problems] == []
    read = load(tmp_path / "router.toml")
    assert set(read.verifiers) == {"total", "invoice", "ours"}
    assert (read.shadow.share, read.shadow.dollars, read.modes[0].tenant) == (0.05, 0.5, "search")


@pytest.mark.parametrize(
    "section", [kind for kind in vars(config).values() if isinstance(kind, type(msgspec.Struct))]
)
def test_every_number_of_the_configuration_has_a_range(section):
    numbers = [
        field.name
        for field in msgspec.structs.fields(section)
        if field.type in {int, float, int | None, float | None}
    ]
    assert [name for name in numbers if (section, name) not in BOUNDS] == []
