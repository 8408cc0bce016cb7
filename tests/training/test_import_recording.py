"""`apportion import` writes a recording that loads, and says what is wrong before it writes anything."""

from __future__ import annotations

import pytest

from router.recording import Recording
from router.recordings.cost import Prices
from training.errors import TrainingError
from training.import_recording import configured, import_recording, pairs
from training.importers.csv_file import CSV
from training.importers.reasoning_gym import ReasoningGym

TABLE = """query_id,query,backend,sample_idx,text,reward,prefix_tokens
a,q1,org/small,0,hé,1,
a,q1,org/small,0,,1,5
a,q1,large,0,yes,0,
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(TABLE, "utf-8")
    return path


def test_the_recording_has_what_the_file_had(table, tmp_path, capsys):
    import_recording(
        "csv",
        table,
        tmp_path / "out",
        price=["small=0.1,0.2", "large=1,2.5"],
        rename=["org/small=small"],
        licence="CC0",
    )
    recording = Recording.load(tmp_path / "out")
    assert recording.prices == {"small": Prices(0.1, 0.2), "large": Prices(1.0, 2.5)}
    assert (recording.name, recording.meta.source, recording.meta.licence) == ("out", "x.csv", "CC0")
    (sample,) = recording.samples("a", "small")
    assert (sample.text, sample.finish_reason) == ("hé", None)
    assert [seen.prefix_tokens for seen in recording.snapshots("a", "small", 0)] == [5]
    assert "latency_s" not in recording.sample_table.column_names
    assert capsys.readouterr().out == ""


def test_a_price_that_nobody_stated_is_assumed_and_said(table, tmp_path, capsys):
    import_recording("csv", table, tmp_path / "out", price=["large=1,2"])
    assert Recording.load(tmp_path / "out").prices["org/small"] == Prices(1.0, 1.0)
    assert "no --price for org/small: $1 per 1M tokens is assumed" in capsys.readouterr().err


def test_broken_text_becomes_readable(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"query": "a\\ud800b", "backend": "m"}\n', "utf-8")
    import_recording("jsonl", path, tmp_path / "out")
    assert Recording.load(tmp_path / "out").queries[0].query == "a?b"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"kind": "cvs"}, "unknown format 'cvs'; choose from csv, jsonl"),
        ({"price": ["tiny=1,2"]}, "--price: no backend 'tiny'; choose from org/small, large"),
        ({"price": ["large=1"]}, "--price large=1: expected two numbers"),
        ({"price": ["large=1,-2"]}, "prices must be >= 0"),
        ({"price": ["large"]}, "--price 'large': expected KEY=VALUE"),
        ({"rename": ["tiny=x"]}, "--rename: no backend 'tiny'"),
        ({"rename": ["org/small=large"]}, "sample 0 of 'large' for query 'a' occurs twice"),
        ({"option": ["tab=x"]}, "--option: 'csv' has no 'tab'; choose from backend, delimiter"),
        ({"kind": "cruxeval", "column": ["query=q"]}, "the format 'cruxeval' has no columns to name"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_written(table, tmp_path, arguments, problem):
    with pytest.raises(TrainingError, match=problem):
        import_recording(**{"kind": "csv", "source": table, "out": tmp_path / "out"} | arguments)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_not_overwritten(table, tmp_path):
    with pytest.raises(TrainingError, match="exists already; choose another --out"):
        import_recording("csv", table, tmp_path)


def test_options_have_the_type_of_their_default():
    wanted = ReasoningGym(pass_at=0.5, texts=False, least_models=3)
    assert (
        configured("reasoning-gym", {}, {"pass_at": "0.5", "texts": "false", "least_models": "3"}) == wanted
    )
    assert configured("csv", {"query": "prompt"}, {"delimiter": ";"}) == CSV(
        {"query": "prompt"}, delimiter=";"
    )


@pytest.mark.parametrize(
    ("option", "problem"), [("texts=no", "expected true or false"), ("pass_at=x", "expected a number")]
)
def test_an_option_of_the_wrong_type_is_refused(option, problem):
    with pytest.raises(TrainingError, match=problem):
        configured("reasoning-gym", {}, pairs("--option", [option]))


def test_a_backend_may_have_an_equals_sign_in_its_name():
    assert pairs("--price", ["m@t=0.2=1,2"]) == {"m@t=0.2": "1,2"}
