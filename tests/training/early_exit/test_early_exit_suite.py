"""The suite `early_exit` on traces whose truth is known."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from predictors.bundle import Bundle
from predictors.bundle_files import load_bundle
from predictors.exit_features import NAMES, TraceLook, exit_features
from predictors.exit_head import ExitHead, fit_exit_head
from predictors.exits import counted_losses
from router.configuration.file import load
from router.recording import Recording
from router.recordings.cost import SNAPSHOT_TOKENS, Prices
from router.recordings.format import RecordingMeta, write_recording
from router.stopping.converged import runs
from training.decision_rows import DecisionRows, RowKey, answering_row, cost_of_samples
from training.decisions_file import DecisionsFile, read_decisions
from training.figures.spread import Spread
from training.fit.from_recordings import fit
from training.replay_run import Replayed, as_rows, replay
from training.run_suite import Skipped, run_suite
from training.suites import Figures, Run
from training.suites.early_exit.confident import WALK, stops_along, stops_at
from training.suites.early_exit.figures import EarlyExitFigures
from training.suites.early_exit.run_length import Runs
from training.suites.early_exit.suite import EarlyExit
from training.suites.early_exit.traces import traces_of
from training.suites.early_exit.watch import Watch, watched


def figures_of(folder: Path, **more: object) -> Figures:
    return EarlyExit(splits=6, **more).run(Recording.load(folder), folder, Run(workers=1))  # type: ignore[arg-type]


def mean(figures: Figures, subject: str, figure: str) -> float:
    value = figures[subject][figure]
    return value.mean if isinstance(value, Spread) else value


@pytest.fixture(scope="module")
def found(settled) -> Figures:
    return figures_of(settled)


def test_traces_that_settle_early_save_tokens_and_lose_nothing(found):
    for subject in ("stated", "utility", "best@0.5pt"):
        assert mean(found, subject, "tokens_saved") > 40, subject
        assert mean(found, subject, "realised_loss") <= 1.0, subject


def test_to_the_end_nothing_is_saved_and_nothing_lost(found):
    assert mean(found, "full", "tokens_saved") == 0
    assert mean(found, "full", "realised_loss") == 0
    assert mean(found, "full", "accuracy") == mean(found, "full", "full_accuracy") > 0.7


def test_the_best_rule_saves_at_least_nearly_what_run_length_does(found):
    assert mean(found, "best@0.5pt", "tokens_saved") > mean(found, "converged", "tokens_saved") - 3


def test_hindsight_saves_no_less_than_what_keeps_to_the_loss(found):
    kept = [subject for subject in found if mean(found, subject, "realised_loss") <= 0 and subject != "full"]
    assert kept
    assert all(mean(found, subject, "hindsight_share") <= 1.05 for subject in kept)


def test_where_every_way_to_stop_loses_nothing_is_stopped(write_traces, tmp_path):
    """Guesses to the end: half a point cannot be kept by stopping anywhere."""
    figures = figures_of(
        write_traces(tmp_path / "guesses", settles=1.0), subjects=("converged", "best@0.5pt")
    )
    assert mean(figures, "converged", "tokens_saved") == 0
    assert mean(figures, "best@0.5pt", "realised_loss") < 3


def test_a_risk_is_kept_where_stopping_early_does_harm(write_traces, tmp_path):
    """Nobody can tell which of the guesses is right: a third of the traces would be harmed by stopping at once."""
    folder = write_traces(tmp_path / "late", settles=0.8)
    figures = figures_of(folder, subjects=("confident@0.10",))
    assert mean(figures, "confident@0.10", "risk") <= 0.10
    assert mean(figures, "confident@0.10", "splits_over_risk") <= 0.35


def test_traces_that_get_worse_are_better_stopped(write_traces, tmp_path):
    figures = figures_of(write_traces(tmp_path / "relapse", relapses=0.3), subjects=("stated", "full"))
    assert mean(figures, "stated", "realised_loss") < -5


def test_traces_that_a_limit_cut_are_left_out_and_counted(write_traces, tmp_path):
    figures = figures_of(write_traces(tmp_path / "cut", cut=40), subjects=("full",))
    assert (mean(figures, "full", "traces"), mean(figures, "full", "left_out_cut")) == (120, 40)


def test_the_figures_can_be_computed_again_from_the_file_and_the_recording(settled, tmp_path):
    recording, path = Recording.load(settled), tmp_path / "decisions.parquet"
    with DecisionsFile(path) as file:
        told = EarlyExit(splits=3).run(
            recording, settled, Run(workers=1, write=lambda rows: file.write(rows, recording))
        )
    again = EarlyExitFigures(recording)
    for rows in read_decisions(path, {recording.name: recording}):
        again.take(rows)
    recomputed = again.figures()
    for subject, figures in recomputed.items():
        for figure, value in figures.items():
            assert value == pytest.approx(told[subject][figure]) if isinstance(value, float) else True
            if isinstance(value, Spread):
                assert value.mean == pytest.approx(told[subject][figure].mean)  # type: ignore[union-attr]


def test_rows_list_every_snapshot_looked_at_and_cost_what_was_spent(settled):
    recording, blocks = Recording.load(settled), list[DecisionRows]()
    EarlyExit(splits=1, subjects=("converged",)).run(recording, settled, Run(workers=1, write=blocks.append))
    (rows,) = blocks
    seen = recording.columns
    assert rows.cost == pytest.approx(cost_of_samples(rows, recording))
    for at in range(len(rows)):
        taken = rows.sample_row[rows.samples_from[at] : rows.samples_from[at + 1]]
        prefixes = seen.prefix_tokens[taken[~seen.finished[taken]]]
        assert (np.diff(prefixes) > 0).all()
        spent = max(seen.tokens_out[taken]) + SNAPSHOT_TOKENS * len(prefixes)
        assert rows.cost[at] == pytest.approx((10 * 1.0 + spent * 2.0) / 1e6)
        assert recording.answers[rows.answer[at]] == recording.answers[seen.answer[taken[-1]]]


def test_no_query_both_tunes_and_is_measured(settled):
    blocks: list[DecisionRows] = []
    recording = Recording.load(settled)
    EarlyExit(splits=4, subjects=("full",)).run(recording, settled, Run(workers=1, write=blocks.append))
    (traces,) = traces_of(recording)
    for rows in blocks:
        measured = Counter(rows.query.tolist())
        halves = traces.halves(rows.key.fold, 0)
        assert set(measured) == set(traces.query[halves == 1].tolist())
        assert set(measured.values()) == {1}


def test_a_recording_without_snapshots_is_skipped(write_traces, tmp_path):
    folder = write_traces(tmp_path / "short", traces=60)
    table = Recording.load(folder).sample_table
    whole = table.filter(pa.compute.is_null(table["prefix_tokens"]))
    queries = pa.table({"query_id": [f"q{n:04d}" for n in range(60)], "query": [f"q {n}" for n in range(60)]})
    write_recording(
        tmp_path / "whole", RecordingMeta(name="whole", prices={"one": Prices(1.0, 2.0)}), queries, whole
    )
    outcome = run_suite("early_exit", [tmp_path / "whole"], Run(workers=1))["whole"]
    assert isinstance(outcome, Skipped)
    assert "2 snapshots" in outcome.why


def test_a_watch_looks_late_enough_and_far_enough_apart(settled):
    (traces,) = traces_of(Recording.load(settled))
    one = watched(traces, Watch(120, 100))
    prefixes = one.taken(traces.tokens, np.nan)
    assert np.nanmin(prefixes) == 150
    assert np.nanmin(np.diff(prefixes, axis=1)) == 100
    looks = one.there.sum(axis=1)
    assert one.spent[:, -1] == pytest.approx(traces.length + SNAPSHOT_TOKENS * looks)


@pytest.mark.parametrize("answers", [(0, 0, 1, 1, 1), (0, -1, 0), (-1, -1, 2), (3, 4, 3, 3)])
def test_run_lengths_are_those_of_the_rule(answers):
    made = Runs.of(np.array([answers], dtype=np.int32))
    for look in range(len(answers)):
        earlier, run = runs([None if one < 0 else one for one in answers[: look + 1]])
        assert made.now[0, look] == run
        assert made.changes[0, look] == len(earlier)
        assert made.mean[0, look] == pytest.approx(np.mean(earlier) if earlier else 0.0)
        assert made.sd[0, look] == pytest.approx(np.std(earlier) if earlier else 0.0)


def test_the_head_knows_what_is_settled_and_what_is_left_and_comes_back_from_its_arrays():
    rng = np.random.default_rng(0)
    rows, now, end, tokens, length = [], [], [], [], []
    for _ in range(400):
        settled_at, whole = int(rng.integers(1, 8)), 10
        looks: list[TraceLook] = []
        for place in range(1, whole):
            done = place >= settled_at
            looks.append(TraceLook(50 * place, 0 if done else 10 + place, 0.9 if done else 0.3))
            rows.append(exit_features(looks))
            now.append(float(done))
            end.append(1.0)
            tokens.append(50.0 * place)
            length.append(50.0 * whole)
    arrays = [np.array(one) for one in (now, end, tokens, length)]
    once = np.ones(len(rows))
    seen = np.array(rows, np.float32)
    head = fit_exit_head(seen, arrays[0], arrays[1], arrays[2], arrays[3], once, once)
    assert head is not None
    told = head.expect(np.array(rows, np.float32), arrays[2])
    settled_looks = arrays[0] > 0.5
    assert told.safe[settled_looks].mean() > 0.9
    assert told.safe[~settled_looks].mean() < 0.5
    assert told.right[settled_looks].mean() > 0.9
    assert told.gain[~settled_looks].mean() > 0.5
    assert np.abs(told.left - (arrays[3] - arrays[2])).mean() < 60
    again = ExitHead.from_arrays(head.arrays())
    assert (again.expect(np.array(rows[:9], np.float32), arrays[2][:9]).left == told.left[:9]).all()


def test_long_traces_stand_for_those_that_were_cut(write_traces, tmp_path):
    traces = next(traces_of(Recording.load(write_traces(tmp_path / "cut", cut=60))))
    assert traces.cut == 60
    order = np.argsort(traces.length, kind="stable")
    stands = traces.stands[order]
    assert (np.diff(stands) >= -1e-9).all() and stands[0] >= 1.0
    assert stands[-1] > 1.5
    assert stands.sum() == pytest.approx(len(traces) + 60, rel=0.1)


@pytest.fixture(scope="module")
def fitted(settled, tmp_path_factory) -> Bundle:
    """What 120 of the traces teach."""
    recording, out = Recording.load(settled), tmp_path_factory.mktemp("bundle") / "bundle"
    fit([recording], [query.query_id for query in recording.queries[:120]], None, 0, out)
    return load_bundle(out)


PLANS = """
[backends.one]
kind = "recorded"
recording = "settled"
price_in = 1.0
price_out = 2.0
max_tokens = 1000
[[plans]]
name = "early"
stages = [{{ backend = "one", stop = {stop} }}]
"""


def replayed_under(
    stop: str, settled: Path, bundle: Bundle, tmp_path: Path
) -> tuple[DecisionRows, list[Replayed]]:
    (tmp_path / "router.toml").write_text(PLANS.format(stop=stop).replace("settled", str(settled)))
    config, recording = load(tmp_path / "router.toml"), Recording.load(settled)
    ids = [query.query_id for query in recording.queries[120:]]
    found = replay(config, recording, ids, predictions=bundle)
    return as_rows(found, recording, config, RowKey("replay", "settled", "x", 0, 0, "p"), "one"), found


@pytest.mark.parametrize(
    "stop", ['{ kind = "safe_exit", threshold = 0.9, every = 50 }', '{ kind = "utility" }']
)
def test_what_was_fitted_on_traces_ends_others_when_served(stop, settled, fitted, tmp_path):
    rows, found = replayed_under(stop, settled, fitted, tmp_path)
    closed = [one for one in found if one.answer is not None and one.answer.finish_reason == "closed"]
    assert len(closed) >= 0.8 * len(found)
    seen, recording = Recording.load(settled).columns, Recording.load(settled)
    had = seen.reward[answering_row(rows, recording)]
    assert had.mean() >= 0.6
    spent = [one.decision.usage["one"].tokens_out for one in found]
    assert np.mean(spent) < 0.7 * seen.tokens_out[seen.finished].mean()
    assert rows.cost * 1e6 == pytest.approx([one.decision.cost for one in found])  # looks included


def test_a_risk_becomes_a_threshold_when_the_bundle_is_loaded(settled, fitted, tmp_path):
    _, found = replayed_under('{ kind = "safe_exit", risk = 0.2, every = 50 }', settled, fitted, tmp_path)
    assert any(one.answer is not None and one.answer.finish_reason == "closed" for one in found)
    assert fitted.exit_threshold("one", 0.2) is not None
    assert fitted.exit_threshold("one", 1e-6) is None
    assert fitted.exit_threshold("two", 0.2) is None


def test_many_thresholds_at_once_stop_where_each_does_alone():
    rng = np.random.default_rng(0)
    score = rng.random((300, 9))
    score[:, 0] = rng.choice(WALK, 300)  # also exactly at a threshold
    score[rng.random(score.shape) < 0.2] = np.nan
    assert (stops_along(score, WALK) == [stops_at(score, float(one)) for one in WALK]).all()


def test_losses_are_counted_where_a_trace_would_first_stop():
    score = np.array([[0.4, 0.9, 0.99], [0.2, np.nan, np.nan], [0.97, 0.5, np.nan]])
    harmed = np.array([[True, False, False], [True, False, False], [True, False, False]])
    losses = counted_losses(score, harmed)
    assert losses[round((1 - 0.98) * 200)] == 0  # only the first trace stops, unharmed
    assert losses[round((1 - 0.95) * 200)] == 1  # the third stops at once
    assert losses[round((1 - 0.30) * 200)] == 2  # the first stops at once as well
    assert losses[-1] == 3


def test_features_do_not_depend_on_what_the_answers_are_called():
    looks = [
        TraceLook(10, 0, 0.5, -0.3),
        TraceLook(20, 1, 0.6, -0.2),
        TraceLook(30, 1, 0.7, -0.2),
        TraceLook(40, None),
    ]
    renamed = [look._replace(answer=None if look.answer is None else look.answer + 7) for look in looks]
    assert [exit_features(looks[:k]) for k in range(1, 5)] == [
        exit_features(renamed[:k]) for k in range(1, 5)
    ]
    assert len(exit_features(looks)) == len(NAMES)
