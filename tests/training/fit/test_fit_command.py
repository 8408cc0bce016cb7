from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from predictors.bundle_files import load_bundle
from predictors.errors import FitError
from router.__main__ import commands
from training.errors import TrainingError
from training.fit.command import own_heads, read_ids, told
from training.fit.from_recordings import fit
from training.fit.heads import fit_held_out
from training.fit.rows import rows_of

# --- the command ----------------------------------------------------------------------------------------------------


def run(*arguments: object) -> int:
    """The exit code of the command line."""
    with pytest.raises(SystemExit) as left:
        commands().main(args=["fit", *map(str, arguments)], prog_name="apportion")
    return int(left.value.code or 0)


def test_a_fit_multiplies_in_one_thread_whatever_the_machine_has(tmp_path, made, monkeypatch):
    counts: list[int] = []

    def counted(*arguments):
        counts.extend(pool["num_threads"] for pool in threadpool_info())
        return rows_of(*arguments)

    monkeypatch.setattr("training.fit.from_recordings.rows_of", counted)
    with threadpool_limits(4):
        fit([made], None, None, 0, tmp_path / "b")
    assert counts and set(counts) == {1}


def test_the_command_writes_a_bundle_and_prints_its_card(tmp_path, capsys, record):
    record(tmp_path / "made", 60)
    (tmp_path / "FIT.txt").write_text("".join(f"q{number}\n" for number in range(50)) + "\nq1\n")
    code = run(
        "--recording",
        tmp_path / "made",
        "--queries",
        tmp_path / "FIT.txt",
        "--out",
        tmp_path / "b",
        "--seed",
        3,
        "--json",
    )
    assert code == 0
    card = json.loads(capsys.readouterr().out)
    assert set(card.pop("outlook")) >= {"points", "curve", "reference"}
    assert card["counts"]["queries"] == 50
    assert card["prices"]["small"]["price_in"] == 0.1
    assert card == json.loads((tmp_path / "b" / "card.json").read_text())
    assert card["version"] == load_bundle(tmp_path / "b").version


def test_the_command_line_refuses_one_query_in_one_line(tmp_path, capsys, record):
    record(tmp_path / "made", 20)
    (tmp_path / "FIT.txt").write_text("q1\n")
    code = run("--recording", tmp_path / "made", "--queries", tmp_path / "FIT.txt", "--out", tmp_path / "b")
    assert code == 1
    said = capsys.readouterr().err
    assert said.splitlines() == ["1 of 1 queries have a reward; at least 10 are needed"]
    assert not (tmp_path / "b").exists()


def test_a_file_that_names_no_query_is_refused(tmp_path):
    (tmp_path / "FIT.txt").write_text("\n \n")
    with pytest.raises(TrainingError, match="names no query"):
        read_ids(tmp_path / "FIT.txt")


def test_a_list_of_queries_may_begin_with_a_byte_order_mark_and_must_be_text(tmp_path):
    (tmp_path / "FIT.txt").write_bytes(b"\xef\xbb\xbfq1\r\nq2\r\n")
    assert read_ids(tmp_path / "FIT.txt") == ["q1", "q2"]
    (tmp_path / "FIT.txt").write_bytes(b"PAR1\x80\x81")
    with pytest.raises(TrainingError, match=r"FIT\.txt: is no list of query ids: no UTF-8"):
        read_ids(tmp_path / "FIT.txt")


def test_backends_with_a_head_of_their_own_are_told_with_what_it_brings(rows):
    card = fit_held_out(rows.taken(range(50))).bundle.card
    assert list(own_heads(card)) == []
    metrics = {"brier_skill/sample_own/small": 0.3447, "brier_skill/sample_shared/small": 0.3278}
    told = list(own_heads(replace(card, own_sample_heads=("small",), metrics=metrics)))
    assert told == ["a head of its own judges small: Brier skill 0.345; the shared one: 0.328"]


def test_a_card_can_be_told_as_json(rows):
    card = fit_held_out(rows.taken(range(50))).bundle.card
    assert json.loads(json.dumps(card.to_json())) == json.loads(json.dumps(asdict(card)))


def test_a_folder_that_is_no_bundle_is_not_replaced_and_nothing_is_read_before(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "queries.parquet").write_text("years of work")
    code = run("--recording", tmp_path / "nowhere", "--out", tmp_path / "mine")
    assert code == 1
    assert f"{tmp_path / 'mine'} is there and is no bundle" in capsys.readouterr().err
    assert (tmp_path / "mine" / "queries.parquet").read_text() == "years of work"


def test_samples_that_nobody_has_graded_are_answered_with_the_command_that_does(rows):
    with pytest.raises(FitError, match=r"0 of 600 queries have a reward; .*apportion grade"):
        fit_held_out(replace(rows, reward=np.full_like(rows.reward, np.nan)))


def test_people_are_told_how_well_it_predicts_and_not_what_every_part_of_it_is_worth():
    figures = {
        "log_loss/p_correct/small": 0.1,
        "lost_without_trees/p_correct/small": -0.0001,
        "brier_skill/sample_blend_without_linear": 0.7,
        "ece/p_correct/small": 0.02,
        "brier_skill/p_correct/small": 0.3,
    }
    assert told(figures) == [("brier_skill/p_correct/small", 0.3), ("ece/p_correct/small", 0.02)]
