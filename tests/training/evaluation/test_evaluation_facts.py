"""What an evaluation says, on outcomes that are known: always the small backend, on queries half of which are hard."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from router.recording import Recording
from training.decision_rows import DecisionRows, Named, RowKey
from training.errors import NotEnoughData
from training.evaluate import outcome
from training.evaluation.facts import changed, facts
from training.evaluation.page import page

N = 200


@pytest.fixture(scope="module")
def recording(made: ModuleType, tmp_path_factory) -> Recording:
    return Recording.load(made.write_pattern(tmp_path_factory.mktemp("made") / "pattern", N, 1))


def decided(recording: Recording, backend: str, p: float = 0.5) -> DecisionRows:
    """Every query answered by one backend, which says that it is right with probability `p`."""
    rows = np.array([recording.rows(query, backend).start for query in range(N)])
    return DecisionRows(
        key=RowKey("replay", recording.name, "apportion", 0, 0, f"always={backend}"),
        query=np.arange(N, dtype=np.int32),
        plans=(backend,),
        plan=np.zeros(N, np.int32),
        samples_from=np.arange(N + 1, dtype=np.int32),
        sample_row=rows,
        answer=recording.columns.answer[rows],
        cost=recording.columns.cost[rows],
        probabilities=Named.dense({backend: np.ones(N)}, N),
        signals=Named.dense({f"p_correct/{backend}": np.full(N, p)}, N),
    )


def rewards(recording: Recording, backend: str):
    return recording.columns.reward[decided(recording, backend).sample_row].astype(float)


def test_the_outcome_is_that_of_the_answers(recording):
    found = facts(decided(recording, "small"), recording)
    small = rewards(recording, "small")
    assert found.reward.mean == pytest.approx(small.mean())
    assert found.cost_of_pass == pytest.approx(1000 * found.costs.sum() / small.sum())
    assert found.plans == (("small", 1.0),)
    assert {one.name: one.reward for one in found.alone} == {
        "small": pytest.approx(small.mean()),
        "large": pytest.approx(rewards(recording, "large").mean()),
    }


def test_the_oracle_takes_the_cheapest_of_the_best(recording):
    small, large = rewards(recording, "small"), rewards(recording, "large")
    found = facts(decided(recording, "small"), recording)
    assert found.oracle.reward == pytest.approx(np.maximum(small, large).mean())
    assert found.oracle.cost < max(one.cost for one in found.alone)


def test_regret_is_largest_where_the_small_one_fails(recording):
    found = facts(decided(recording, "small"), recording)
    small, large = rewards(recording, "small"), rewards(recording, "large")
    hard = np.arange(N) % 2 == 0
    task, queries, regret, reward = found.regret[0]
    assert (task, queries) == ("sum", N // 2)
    assert regret == pytest.approx((np.maximum(small, large) - small)[hard].mean())
    assert reward == pytest.approx(small[hard].mean())


def test_risk_counts_what_the_best_backend_would_have_got_right(recording):
    small, large = rewards(recording, "small"), rewards(recording, "large")
    assert facts(decided(recording, "small"), recording).risk == pytest.approx(
        ((small == 0) & (large == 1)).mean()
    )
    assert facts(decided(recording, "large"), recording).risk == 0.0


def test_zones_say_who_is_right(recording):
    small, large = rewards(recording, "small"), rewards(recording, "large")
    shares = {name: share for name, share, _ in facts(decided(recording, "small"), recording).zones}
    assert shares["all backends"] == pytest.approx((small * large).mean())
    assert shares["none"] == pytest.approx(((1 - small) * (1 - large)).mean())
    assert sum(shares.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("said", [0.5, 0.99])
def test_a_constant_prediction_has_no_skill_and_its_error_is_its_distance(recording, said):
    (found,) = facts(decided(recording, "small", said), recording).reliability
    assert found.brier_skill <= 1e-9
    off = abs(said - rewards(recording, "small").mean())
    assert found.ece == pytest.approx(off, abs=0.06)


def test_answers_without_reward_are_counted_not_judged(recording):
    blind = recording.columns.reward.copy()
    rows = decided(recording, "small")
    blind[rows.sample_row[:30]] = np.nan
    partly = replace(recording, columns=replace(recording.columns, reward=blind))
    found = facts(rows, partly)
    assert (found.unlabelled, len(found.query)) == (30, N - 30)
    blind[:] = np.nan
    with pytest.raises(NotEnoughData, match="none of the 200 answers has a reward"):
        facts(rows, replace(recording, columns=replace(recording.columns, reward=blind)))


def test_what_drew_no_sample_earned_nothing_that_is_known(recording):
    """Where a verifier shares out few samples, many queries get none: their neighbours' answers are not theirs."""
    every = decided(recording, "small")
    some = np.arange(N) % 3 == 1  # not the first, not the last
    few = replace(
        every,
        samples_from=np.concatenate(([0], np.cumsum(some))).astype(np.int32),
        sample_row=every.sample_row[some],
        answer=np.where(some, every.answer, -1).astype(np.int32),
        cost=np.where(some, every.cost, 0.0),
    )
    found = facts(few, recording)
    assert found.unlabelled == N - some.sum()
    assert found.reward.mean == pytest.approx(rewards(recording, "small")[some].mean())
    said = outcome(few, recording)
    assert said["unlabelled"] == N - some.sum()
    assert said["reward"] == pytest.approx(found.reward.mean)
    nothing = replace(few, samples_from=np.zeros(N + 1, np.int32), sample_row=np.zeros(0, np.int64))
    assert outcome(nothing, recording)["reward"] is None


def test_what_changed_is_paired_by_query(recording):
    small, large = (facts(decided(recording, name), recording) for name in ("small", "large"))
    told, same = changed(large, small), changed(small, small)
    assert told is not None and same is not None
    reward, cost, queries = told
    difference = rewards(recording, "large") - rewards(recording, "small")
    assert queries == N
    assert reward.mean == pytest.approx(100 * difference.mean())
    assert cost.mean == pytest.approx(100 * (large.cost / small.cost - 1))
    assert same[0].mean == 0.0


def test_the_page_holds_everything_itself(recording, tmp_path: Path):
    small, large = (facts(decided(recording, name), recording) for name in ("small", "large"))
    text = page("a <b> & c", [small, large], [small])
    assert "a &lt;b&gt; &amp; c" in text and "<b>" not in text
    for part in ("Quality and cost", "What changed", "not in the earlier file", "Calibration", "oracle"):
        assert part in text
    assert "src=" not in text and "<script" not in text and "<link" not in text
