"""What is fitted on traces and what is told of them while they grow are the same numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log, log1p
from pathlib import Path

import numpy as np
import pytest

from predictors.errors import BundleError
from predictors.exit_features import BEFORE_TEXT, NAMES, TraceLook, exit_features
from predictors.exit_head import ExitHead, fit_exit_head
from predictors.exits import Exits
from predictors.linear import Linear
from predictors.observation import Observation, Signals
from predictors.untrained import Untrained
from router.configuration.file import load
from router.recording import Recording
from training.fit.exits import fit_exits
from training.replay_run import replay
from training.suites.early_exit.halves import features_of, written_of
from training.suites.early_exit.traces import Traces, traces_of
from training.suites.early_exit.watch import watched, watches_of

SHIPPED = Path(__file__).parents[3] / "training" / "recordings" / "house-traces"
PLAN = """
[backends.large]
kind = "recorded"
recording = "{folder}"
recorded_as = "large-check"
price_in = 1.0
price_out = 2.0
max_tokens = 1000
[[plans]]
name = "early"
stages = [{{ backend = "large", stop = {{ kind = "safe_exit", threshold = 1.0, first = 0, every = 16 }} }}]
"""


@dataclass(frozen=True, slots=True)
class Told(Untrained):
    """Says of growing samples what `exits` does, and keeps it."""

    exits: Exits | None = None
    kept: dict[tuple[str, int], dict[str, float]] = field(default_factory=dict)

    def growing(self, seen: Observation) -> Signals:
        """By text of the query and tokens."""
        latest = seen.latest
        assert latest is not None and self.exits is not None
        signals = self.exits.signals(seen, latest)
        self.kept[seen.query.text, latest.prefix_tokens or latest.tokens_out] = signals
        return signals


@pytest.fixture(scope="module")
def traces() -> Traces:
    return next(traces_of(Recording.load(SHIPPED)))


@pytest.fixture(scope="module")
def exits(traces: Traces) -> Exits:
    """Of 150 traces."""
    ids = [query.query_id for query in traces.recording.queries[:150]]
    (found,) = fit_exits([traces.recording], ids, {"large": "large-check"}, 0)
    return found


def test_signals_while_a_trace_grows_are_what_the_head_says_of_the_recording(traces, exits, tmp_path):
    (tmp_path / "router.toml").write_text(PLAN.format(folder=SHIPPED))
    queries = traces.recording.queries
    place = np.flatnonzero(traces.query >= 300)[:40]
    told = Told(exits=exits)
    ids = [queries[one].query_id for one in traces.query[place]]
    replay(load(tmp_path / "router.toml"), traces.recording, ids, predictions=told)
    one = watched(traces, next(watches_of(traces)))
    features = features_of(one, written_of(traces))
    compared = 0
    for trace in place.tolist():
        for look in np.flatnonzero(one.there[trace]).tolist():
            tokens = traces.tokens[trace, one.place[trace, look]]
            served = told.kept[queries[traces.query[trace]].query, int(tokens)]
            wanted = exits.head.expect(features[trace, look][None], np.array([tokens]))
            (name,) = {key.partition("/")[2] for key in served if key.startswith("safe_to_stop/")}
            got = [
                served[f"{what}/{name}"] for what in ("safe_to_stop", "right_now", "gain_left", "tokens_left")
            ]
            assert got == pytest.approx([float(told_of[0]) for told_of in wanted], rel=1e-9)
            compared += 1
    assert compared > 200
    assert features[:, :, NAMES.index("written_times")].max() > 1  # texts were there to be read


def test_trees_come_back_from_their_arrays_and_must_fit(exits: Exits):
    arrays = exits.arrays()
    again = Exits.from_arrays("large", arrays)
    rows = np.random.default_rng(0).normal(size=(20, len(NAMES))).astype(np.float32)
    tokens = np.full(20, 50.0)
    many = exits.head.expect(rows, tokens)
    for one, other in zip(many, again.head.expect(rows, tokens), strict=True):
        assert (one == other).all()
    alone = [again.head.at(row, 50.0) for row in rows]
    assert np.array(alone) == pytest.approx(np.column_stack(many), rel=1e-9)
    assert again.head.trees is not None
    trees = {name.removeprefix("head/"): value for name, value in arrays.items() if "trees" in name}
    narrow = head_of(BEFORE_TEXT).arrays()
    with pytest.raises(BundleError, match="its trees were fitted on"):
        ExitHead.from_arrays(narrow | trees)


def test_a_bundle_from_before_texts_were_read_is_served_without_them(traces: Traces):
    """Its head knows the first features alone, and has no trees."""
    old = Exits("large", head_of(BEFORE_TEXT), 100.0, 50, np.zeros(201, np.int64))
    assert not any("trees" in name for name in old.arrays())
    again = Exits.from_arrays("large", old.arrays())
    assert again.head.width == BEFORE_TEXT
    with pytest.raises(BundleError, match="features"):
        Exits.from_arrays("large", Exits("large", head_of(7), 1.0, 50, np.zeros(201, np.int64)).arrays())


def head_of(width: int) -> ExitHead:
    """Without trees, of so many features."""
    part = Linear(mean=np.zeros(width), scale=np.ones(width), coef=np.zeros(width + 1))
    return ExitHead(part, part, part, np.zeros(width + 1), 1.0, 100.0)


def test_trees_see_what_lines_do_not():
    """Stopping is harmful where a number is neither small nor large."""
    rng = np.random.default_rng(1)
    rows = np.zeros((3_000, len(NAMES)), np.float32)
    rows[:, 9] = rng.normal(size=len(rows))
    harmed = np.abs(rows[:, 9]) < 0.7
    now, end, once = (~harmed).astype(float), np.ones(len(rows)), np.ones(len(rows))
    learned, asked = slice(0, 2_000), slice(2_000, None)
    head = fit_exit_head(
        rows[learned],
        now[learned],
        end[learned],
        once[learned],
        9 * once[learned],
        once[learned],
        once[learned],
    )
    assert head is not None
    told = head.expect(rows[asked], once[asked]).safe
    assert told[~harmed[asked]].mean() - told[harmed[asked]].mean() > 0.2
    lines = 1 - head.harm.predict(rows[asked])
    assert abs(lines[~harmed[asked]].mean() - lines[harmed[asked]].mean()) < 0.05


def test_features_of_a_trace_worked_out_by_hand():
    looks = [
        TraceLook(16, 0, 0.5, -0.4, 0.1), TraceLook(32, 1, 0.9, None, 0.1), TraceLook(48, None, None, -0.2, 0.1),
        TraceLook(64, 1, 0.8, None, 0.1), TraceLook(80, 1, 0.6, -0.3, 0.1),
    ]  # fmt: skip
    told = dict(zip(NAMES, exit_features(looks), strict=True))
    sure = [log(p / (1 - p)) for p in (0.5, 0.9, 0.8, 0.6)]
    wanted = {
        "run_looks": log1p(2), "run_tokens": log1p(80 - 64), "run_share": 16 / 80, "longest_earlier_run": log1p(1),
        "earlier_runs": log1p(2), "agreeing": 3 / 5, "distinct": log1p(2), "confidence": sure[-1],
        "confidence_low": sure[-1], "confidence_mean": sum(sure) / 4, "confidence_change": sure[-1] - sure[-2],
        "logprob": -0.3, "logprob_change": -0.1, "looks": log1p(5), "first_entropy": 0.1,
    }  # fmt: skip
    assert {name: told[name] for name in wanted} == pytest.approx(wanted)
    unknown = dict(zip(NAMES, exit_features(looks[:3]), strict=True))
    assert (unknown["answered"], unknown["run_looks"], unknown["stated"], unknown["confidence"]) == (
        0,
        0,
        0,
        0,
    )
    assert unknown["logprob_change"] == pytest.approx(0.2)  # since the last that is known
