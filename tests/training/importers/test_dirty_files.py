"""Files as people really have them: compressed, cut short, exported from tables, with names that are not ours."""

from __future__ import annotations

import gzip
import json

import pytest

from training.errors import TrainingError
from training.import_recording import import_recording
from training.importers.anytime import Anytime
from training.importers.cruxeval import CRUXEval
from training.importers.csv_file import CSV
from training.importers.jsonl import JSONL
from training.importers.reasoning_gym import ReasoningGym

TABLE = "query,backend,reward\nq,m,1\n"


@pytest.fixture
def table(tmp_path):
    def write(text):
        path = tmp_path / "x.csv"
        path.write_text(text, "utf-8")
        return path

    return write


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz"])
def test_a_compressed_file_is_read_whatever_its_name(tmp_path, name):
    (tmp_path / name).write_bytes(gzip.compress(TABLE.encode()))
    assert CSV().read(tmp_path / name).samples[0].reward == 1.0


def test_a_compressed_file_that_was_cut_is_refused(tmp_path):
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"query": "q", "backend": "m"}\n' * 99)[:-9])
    with pytest.raises(
        TrainingError, match=r"x\.jsonl\.gz: not readable as JSON lines: Compressed file ended"
    ):
        JSONL().read(path)


def test_another_encoding_is_named_as_such(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes("query,backend\nOù,m\n".encode("latin1"))
    with pytest.raises(TrainingError, match=r"x\.csv: not readable as CSV: no UTF-8"):
        CSV().read(path)


def test_tabulators_separate_and_words_do_not(table):
    assert CSV(delimiter="\\t").read(table(TABLE.replace(",", "\t"))).backends == ("m",)
    for delimiter in ("tab", "", "\n"):
        with pytest.raises(TrainingError, match="delimiter: one character is expected"):
            CSV(delimiter=delimiter).read(table(TABLE))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("query,backend,reward\nq,m,1\nq2,m\n", r"x\.csv:3: fewer cells than the header has columns"),
        ("query,backend,reward\nq,m,1,1\n", r"x\.csv:2: more cells than the header has columns"),
        ("query,backend,reward,reward\nq,m,1,0\n", "column 'reward' stands twice in the header"),
        ("query,backend\nq,a\x07b\n", r"'a\\x07b' is no name of a backend"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_written(table, tmp_path, text, problem):
    with pytest.raises(TrainingError, match=problem):
        import_recording("csv", table(text), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_empty_rows_of_a_spreadsheet_are_left_out(table):
    assert len(CSV().read(table(TABLE + ",,\n\n,,\n")).samples) == 1


def test_a_column_that_is_named_and_not_there_is_refused(table):
    """Labels were silently lost: everything was imported, and nothing had a reward."""
    with pytest.raises(TrainingError, match=r"no column 'score' for 'reward'; columns here: query, backend"):
        CSV(columns={"reward": "score"}).read(table(TABLE))


def test_columns_that_nobody_read_are_said(table, tmp_path, capsys):
    import_recording("csv", table("query,backend,correct,run\nq,m,1,7\n"), tmp_path / "out")
    assert "columns that were not read: correct, run; --column OURS=THEIRS" in capsys.readouterr().err


def test_a_price_beyond_what_a_recording_may_say_leaves_no_half_recording(table, tmp_path):
    with pytest.raises(TrainingError, match=r"--price m=1e12,1: prices must be >= 0 and at most 1e\+09"):
        import_recording("csv", table(TABLE), tmp_path / "out", price=["m=1e12,1"])
    assert not (tmp_path / "out").exists()


def test_one_uid_for_two_problems_is_refused(tmp_path):
    """The second problem's answers were booked on the first."""
    path = tmp_path / "x.jsonl"
    row = {"uid": "test_0", "max_new_tokens": 64, "problem": "p", "gold": None, "correct": 1}
    rows = [row, row | {"max_new_tokens": 96, "gold": "4"}, row | {"max_new_tokens": 128, "problem": "other"}]
    path.write_text("".join(json.dumps(each) + "\n" for each in rows[:2]), "utf-8")
    assert Anytime().read(path).queries[0].gold == "4"
    path.write_text("".join(json.dumps(each) + "\n" for each in rows), "utf-8")
    with pytest.raises(TrainingError, match=r"x\.jsonl:3: column 'problem' is another text than before"):
        Anytime().read(path)


@pytest.fixture
def scored(tmp_path):
    problem = {"code": "def f(): 1", "input": "", "output": "1", "id": "sample_0"}
    (tmp_path / "cruxeval.jsonl").write_text(json.dumps(problem) + "\n", "utf-8")

    def write(verdict, name="sample_scored_m_temp0.2_input.json"):
        content = {
            "raw_generations": {"sample_0": ["f()"]},
            "raw_scored_generations": {"sample_0": [verdict]},
        }
        (tmp_path / name).write_text(json.dumps(content), "utf-8")
        return tmp_path

    return write


@pytest.mark.parametrize(("verdict", "reward"), [(True, 1.0), (False, 0.0), ("False", 0.0), (None, None)])
def test_a_verdict_counts_by_what_it_says(scored, verdict, reward):
    assert CRUXEval().read(scored(verdict)).samples[0].reward == reward


@pytest.mark.parametrize("verdict", [2, "passed", [True]])
def test_a_verdict_that_is_none_is_refused(scored, verdict):
    with pytest.raises(TrainingError, match=r"input\.json: sample_0: column 'score'"):
        CRUXEval().read(scored(verdict))


def test_a_temperature_that_is_no_number_is_no_scored_file(scored):
    with pytest.raises(TrainingError, match="no sample_scored_"):
        CRUXEval().read(scored(True, "sample_scored_m_temp0.2.1_input.json"))


@pytest.mark.parametrize("content", [{"categories": 3}, {"categories": [{"datasets": 3}]}])
def test_other_json_files_among_the_runs_are_left_out(tmp_path, content):
    (tmp_path / "other.json").write_text(json.dumps(content), "utf-8")
    with pytest.raises(TrainingError, match="no queries or no samples"):
        ReasoningGym().read(tmp_path)
