"""Looks that wait for the words of a conclusion: offered, chosen where they pay, calibrated and served as chosen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from predictors.bundle_files import load_bundle
from predictors.errors import BundleError
from predictors.exits import EVERYWHERE, Exits, Looks
from predictors.observation import Sample
from router.backends.recorded_looks import due_looks
from router.configuration.build_plans import build_plans
from router.configuration.file import load
from router.domain.cues import CONCLUSIONS
from router.domain.growth import Growth
from router.learned_plans.risk_thresholds import resolve_risks
from router.recording import Recording
from router.recordings.cost import SNAPSHOT_TOKENS
from training.fit.exits import fit_exits
from training.fit.from_recordings import fit
from training.replay_run import replay
from training.suites.early_exit.halves import Known, half_of
from training.suites.early_exit.subjects import at_risk_10, best
from training.suites.early_exit.traces import Traces, traces_of
from training.suites.early_exit.watch import Watch, all_watched, watched

SHIPPED = Path(__file__).parents[3] / "training" / "recordings" / "house-traces"
ON, CONCLUDES = "and on and on. ", "So the Answer is clear. "
PLANS = """
[backends.one]
kind = "recorded"
recording = "{folder}"
price_in = 1.0
price_out = 2.0
max_tokens = 1000
[[plans]]
name = "early"
stages = [{{ backend = "one", stop = {{ kind = "safe_exit", risk = 0.2, every = 100, cues = ["ANSWER"] }} }}]
"""


@pytest.fixture(scope="module")
def spoken(write_traces, tmp_path_factory) -> Path:
    """Each trace says so where it settles, anywhere between a tenth and nine tenths of its length."""
    folder = tmp_path_factory.mktemp("made") / "spoken"
    written: Path = write_traces(folder, settles=(0.1, 0.9), said=(ON, CONCLUDES))
    return written


def traces_in(folder: Path) -> Traces:
    (traces,) = traces_of(Recording.load(folder))
    return traces


@pytest.mark.parametrize(
    "watch", [Watch(0, 16, CONCLUSIONS), Watch(60, 48, CONCLUSIONS), Watch(30, 20, ("is", "="))]
)
def test_the_suite_looks_where_a_recording_is_looked_at(watch):
    traces = next(traces_of(Recording.load(SHIPPED, verify=False)))
    one = watched(traces, watch)
    recording, growth = traces.recording, Growth(int(watch.first), int(watch.every), cues=watch.cues)
    looks = 0
    for trace in range(0, len(traces), 5):
        rows = traces.rows[trace][traces.there[trace]].tolist()
        seen = [recording.sample(row) for row in rows]
        snapshots = [Sample("0.0", "one", tokens_out=round(row.tokens_out)) for row in seen]
        due = due_looks(snapshots, [row.text for row in seen], growth)
        places = one.place[trace][one.there[trace]]
        assert traces.tokens[trace, places].tolist() == [one.tokens_out for one in due]
        looks += len(due)
    assert looks > 50


def test_a_watch_that_waits_is_chosen_where_it_spares_looks(spoken, write_traces, tmp_path):
    silent = write_traces(tmp_path / "silent", settles=(0.1, 0.9), said=(ON, ON))
    spent: dict[Path, list[float]] = {spoken: [], silent: []}
    for folder, tokens in spent.items():
        known = Known.of(traces_in(folder), 0)
        half = half_of(known, 0)
        assert half is not None
        for decides in (at_risk_10, best):
            decided = decides(known)(half)
            assert decided is not None and ("answer" in decided.label) is (folder == spoken)
            most = decided.place.shape[1]
            at = decided.place[np.arange(len(decided.stops)), np.minimum(decided.stops, most - 1)]
            early = known.traces.tokens[decided.measured, np.maximum(at, 0)]
            ends = np.where(decided.stops < most, early, known.traces.length[decided.measured])
            looks = np.minimum(decided.stops + 1, (decided.place >= 0).sum(axis=1))
            tokens.append(float(np.mean(ends + SNAPSHOT_TOKENS * looks)))
    assert spent[spoken][0] < spent[silent][0] - 5 and spent[spoken][1] < spent[silent][1] - 5


def test_where_no_cue_is_heard_the_watches_are_those_without(spoken, settled, write_traces, tmp_path):
    silent = write_traces(tmp_path / "silent", settles=(0.1, 0.9), said=(ON, ON))
    for folder in (silent, settled):  # no texts at all in the second
        assert not any(one.watch.cues for one in all_watched(traces_in(folder)))
    assert sum(bool(one.watch.cues) for one in all_watched(traces_in(spoken))) == 4


def test_what_is_calibrated_is_what_is_served(spoken, tmp_path):
    """A bundle counts the losses at the looks of the plans' rules, and knows no others' words."""
    (tmp_path / "router.toml").write_text(PLANS.format(folder=spoken))
    recording, config = Recording.load(spoken), load(tmp_path / "router.toml")
    ids = [query.query_id for query in recording.queries]
    fit([recording], ids[:120], config, 0, tmp_path / "bundle")
    bundle = load_bundle(tmp_path / "bundle")
    (exits,) = bundle.deciding.exits
    assert [one.looks for one in exits.at] == [
        Looks(0, 50, CONCLUSIONS), Looks(0, 50, ("ANSWER",)), Looks(0, 100, ("ANSWER",)),
    ]  # fmt: skip
    least = bundle.exit_threshold("one", 0.2, Looks(0, 100, ("answer",)))
    assert least is not None
    assert bundle.exit_threshold("one", 0.2, Looks(7, 9, ("answer",))) is not None  # by closer looks
    assert bundle.exit_threshold("one", 0.2, Looks(0, 100, ("so the",))) is None
    plans, refused = resolve_risks(build_plans(config), bundle)
    assert not refused and plans["early"].stages[0].stop.threshold == least  # type: ignore[attr-defined]
    traces = traces_in(spoken)
    one = watched(traces, Watch(0, 100, ("answer",)))
    query_of = {recording.queries[query].query_id: trace for trace, query in enumerate(traces.query)}
    closed = 0
    for name, found in zip(ids[120:], replay(config, recording, ids[120:], predictions=bundle), strict=True):
        assert found.answer is not None
        trace = query_of[name]
        looked = one.place[trace][one.there[trace]]
        if found.answer.finish_reason == "closed":
            closed += 1
            assert found.answer.tokens_out in traces.tokens[trace, looked]
        assert found.decision.usage["one"].side_calls <= len(looked)
    assert closed >= 20


def test_a_bundle_from_before_cues_refuses_them_in_words(spoken, tmp_path):
    (exits,) = fit_exits([Recording.load(spoken)], None, None, 0)
    arrays = exits.arrays()
    again = Exits.from_arrays("one", arrays)
    assert [one.looks for one in again.at] == [Looks(0, 50, CONCLUSIONS)]
    assert (again.at[0].losses == exits.at[0].losses).all()
    # conclusions are all that there is to wait for
    assert exits.losses.any() and not exits.at[0].losses.any()
    old = Exits.from_arrays("one", {name: one for name, one in arrays.items() if not name.startswith("at")})
    assert old.threshold(0.2, Looks(0, 100, CONCLUSIONS)) is None
    assert old.threshold(0.2) == old.threshold(0.2, Looks(0, 64)) == again.threshold(0.2, EVERYWHERE)
    (tmp_path / "router.toml").write_text(PLANS.format(folder=spoken))
    _, (refused,) = resolve_risks(build_plans(load(tmp_path / "router.toml")), Knows(old))
    assert "at the cues 'ANSWER' at a risk of 0.2" in refused
    for broken in (
        {"at0/losses": np.zeros(3, np.int64)},
        {"at0/when": np.zeros(1)},
        {"at0/cues": np.zeros(2)},
    ):
        with pytest.raises(BundleError, match=r"(?i)looks"):
            Exits.from_arrays("one", arrays | broken)


class Knows:
    """What one backend's exits say."""

    def __init__(self, exits: Exits) -> None:
        self.exits = exits

    def exit_threshold(self, backend: str, risk: float, looks: Looks = EVERYWHERE) -> float | None:
        return self.exits.threshold(risk, looks)


def test_without_texts_no_words_are_calibrated(settled):
    """Silence would look like safety: no loss was ever seen where nothing was looked at."""
    (exits,) = fit_exits(
        [Recording.load(settled)], None, None, 0, [Looks(0, 100, ("answer",)), Looks(0, 100)]
    )
    assert [one.looks for one in exits.at] == [Looks(0, 100)]
    assert exits.threshold(0.5, Looks(0, 100, ("answer",))) is None
