"""`apportion fit` ends in what you would have saved: on a recording whose pattern is known."""

from __future__ import annotations

import json
from dataclasses import replace

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from predictors.untrained import Untrained
from router.__main__ import commands
from router.recording import Recording
from router.recordings.format import RecordingMeta, write_recording
from training.errors import NotEnoughData
from training.menu import menu_of
from training.outlook.outlook import Outlook, measures_agreement, outlook
from training.outlook.text import outlook_json, outlook_text
from training.outlook.trial import try_plans
from training.report.intervals import Interval


@pytest.fixture(scope="module")
def pattern(made, tmp_path_factory):
    """Small gets sums wrong and everything else right: 160 queries, one sample each."""
    return made.write_pattern(tmp_path_factory.mktemp("outlook") / "pattern", 160)


@pytest.fixture(scope="module")
def found(pattern) -> Outlook:
    recording = Recording.load(pattern)
    return outlook([recording], None, menu_of(recording, pattern, price=50.0), 0, parts=2)


def test_what_can_be_told_from_the_text_is_saved_without_loss(found):
    assert (found.reference, found.cheapest, found.labelled) == ("large", "small", 160)
    best = max((point for point in found.points if point.over_mix), key=lambda point: point.over_mix.mean)
    assert best.saving.mean > 0.3
    assert best.over_mix.lo > 0.1  # half of the queries are as good with small, and the text says which
    assert best.difference.lo < 0 < best.difference.hi


def test_a_higher_price_saves_more(found):
    savings = [point.saving.mean for point in found.points]
    assert [point.price for point in found.points] == sorted(point.price for point in found.points)
    assert savings == sorted(savings)


def test_the_curve_grows_with_the_labels_to_those_that_were_there(found):
    assert [step.labelled for step in found.curve] == sorted(step.labelled for step in found.curve)
    assert found.curve[-1].labelled == found.fitted_on == 80
    assert found.curve[-1].point.over_mix.mean > 0.1


def test_rewards_that_have_nothing_to_do_with_the_text_gain_nothing(made, tmp_path):
    folder = made.write_pattern(tmp_path / "noise", 120, noise=True, answers=False)  # nor do answers tell
    recording = Recording.load(folder)
    said = outlook([recording], None, menu_of(recording, folder), 0, curve=False, parts=2)
    assert said.curve == ()
    assert all(point.over_mix.lo < 0.0 for point in said.points if point.over_mix)


def test_too_few_labels_are_refused_with_the_reason(made, tmp_path):
    folder = made.write_pattern(tmp_path / "few", 9)
    recording = Recording.load(folder)
    with pytest.raises(NotEnoughData, match="too few labels to hold some out"):
        outlook([recording], None, menu_of(recording, folder), 0)


def test_queries_on_which_no_plan_can_run_are_left_out(pattern, tmp_path):
    """Every plan begins with small, which was not asked every fourth query: the others are tried all the same."""
    samples = pq.read_table(pattern / "samples.parquet")
    rows = zip(samples["query_id"].to_pylist(), samples["backend"].to_pylist(), strict=True)
    kept = samples.filter(
        pa.array([not (int(query[1:]) % 4 == 0 and name == "small") for query, name in rows])
    )
    meta = RecordingMeta(name="gaps", prices=Recording.load(pattern).meta.prices)
    write_recording(tmp_path / "gaps", meta, pq.read_table(pattern / "queries.parquet"), kept)
    recording = Recording.load(tmp_path / "gaps")
    menu = menu_of(recording, tmp_path / "gaps")
    plans = tuple(plan for plan in menu.plans if plan.stages[0].backend == "small")
    config = msgspec.structs.replace(menu, plans=plans, reference="small")
    ids = [(0, query.query_id) for query in recording.queries[:12]]
    trial = try_plans(config, [recording], ids, Untrained())
    assert len(trial) == len(trial.reward) == len(trial.forecast) == 9
    assert np.isfinite(trial.reward[:, trial.plans.index("small")]).all()


def test_people_are_told_the_table_the_curve_and_what_to_do(found):
    text = outlook_text(found)
    for words in ("SAVING %", "RISK", "OVER MIX", "50*", "LABELLED", "router.toml: price = "):
        assert words in text
    assert max(map(len, text.splitlines())) <= 160


def test_a_price_at_which_the_bill_would_rise_is_told(found):
    dear = replace(found.points[0], price=50.0, saving=Interval(-2.9, -3.5, -2.4))
    told = outlook_text(replace(found, points=(dear,)))
    assert "WARNING: at the configured price 50 you would pay 3.9 times what always large costs" in told
    assert "WARNING" not in outlook_text(found)
    assert "no price is configured" in outlook_text(replace(found, configured=0.0))


def test_labels_of_agreement_are_not_called_right(found, pattern):
    assert not found.agreement
    recording = Recording.load(pattern)
    graded = replace(recording.meta, extra={"graders": {"": "agrees"}})
    assert measures_agreement(replace(recording, meta=graded))
    assert "0.000 right" not in (told := outlook_text(replace(found, agreement=True)))
    assert "not whose are right" in told


def test_as_json_it_is_the_same(found):
    said = json.loads(json.dumps(outlook_json(found)))
    assert [point["price"] for point in said["points"]] == [point.price for point in found.points]
    assert said["points"][0]["saving"]["mean"] == pytest.approx(100 * found.points[0].saving.mean)
    assert said["curve"][-1]["labelled"] == 80


def test_the_command_prints_it_after_the_bundle(made, tmp_path, capsys):
    folder = made.write_pattern(tmp_path / "made", 60)
    arguments = ["fit", "--recording", str(folder), "--out", str(tmp_path / "b"), "--no-curve"]
    with pytest.raises(SystemExit) as left:
        commands().main(args=arguments, prog_name="apportion")
    assert not left.value.code
    said = capsys.readouterr().out
    assert "bundle" in said
    assert "What you would have saved on 60 of your queries" in said
    assert (tmp_path / "b" / "card.json").is_file()


def test_a_bill_that_would_stay_as_it_is_gives_no_warning(found):
    same = replace(found.points[0], price=50.0, saving=Interval(-0.03, -0.2, 0.1))
    assert "WARNING" not in outlook_text(replace(found, points=(same,)))
