"""Traces that end before their end: the allocator over a recording with snapshots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pytest

from predictors.observation import Observation, Signals
from router.backends.recorded import Recorded
from router.backends.recording_shelf import RecordingShelf
from router.config import BackendConfig
from router.domain.growth import Growth
from router.domain.options import Options
from router.domain.usage import Usage
from router.domain.verdict import ENOUGH, ESCALATE, MORE, Verdict
from router.recordings.cost import Prices
from router.recordings.format import RecordingMeta, write_recording
from router.stopping import StoppingRule
from router.stopping.agreement import Agreement
from router.stopping.converged import Converged
from router.stopping.token_cap import TokenCap

TEXT = "one two three four five six seven eight"


def row(index: int, prefix: int | None, answer: str | None) -> dict[str, object]:
    said = TEXT if prefix is None else TEXT[:prefix]
    return {
        "query_id": "q",
        "backend": "small",
        "sample_idx": index,
        "prefix_tokens": prefix,
        "text": said,
        "answer": answer,
        "tokens_in": 12,
        "tokens_out": 500 if prefix is None else None,
        "first_token_s": 0.5 if prefix is None else None,
        "latency_s": 10.5 if prefix is None else None,
        "finish_reason": "stop" if prefix is None else None,
    }


TRACE = [row(0, None, "9"), row(0, 100, "3"), row(0, 200, "4"), row(0, 300, "4"), row(0, 400, "4")]


@pytest.fixture
def recorded(build, one, ask, tmp_path):
    """A plan with this rule over a recording of these rows; returns the world and the query."""

    def make(rule: StoppingRule, rows: list[dict[str, object]] = TRACE, **stage: object):
        kinds = {
            "sample_idx": pa.int32(),
            "prefix_tokens": pa.int32(),
            "tokens_in": pa.int32(),
            "tokens_out": pa.int32(),
        }
        columns = {name: pa.array([each[name] for each in rows], kinds.get(name)) for name in rows[0]}
        write_recording(
            tmp_path / "made",
            RecordingMeta(name="made", prices={"small": Prices(1.0, 1.0)}),
            pa.table({"query_id": ["q"], "query": ["What is 1 + 1?"]}),
            pa.table(columns),
        )
        world = build({"small": ["unused"]}, {"exit": [one("small", rule, **stage)]}, max_tokens=1000)
        config = BackendConfig(kind="recorded", recording="made")
        world.allocator.backends["small"] = Recorded("small", config, RecordingShelf(tmp_path))
        return world, ask()

    return make


async def test_a_trace_ends_at_the_snapshot_and_answers_what_it_would_have_said_there(recorded):
    world, query = recorded(Converged(equal=2, every=1))
    done = await world.done(query)
    assert [(one.answer, one.tokens_out, one.finish_reason) for one in done.answers] == [("4", 300, "closed")]
    assert done.decision.stop_reason == "enough: converged"
    assert done.decision.usage["small"] == Usage(12, 0, 300 + 3 * 20, 0, side_calls=3, samples=1)


async def test_only_the_looks_that_are_due_are_paid_for(recorded):
    world, query = recorded(Converged(equal=2, first=150, every=150))
    done = await world.done(query)
    assert done.decision.usage["small"] == Usage(12, 0, 400 + 2 * 20, 0, side_calls=2, samples=1)


async def test_a_trace_that_never_settles_goes_to_its_end(recorded):
    world, query = recorded(Converged(equal=4, every=1))
    done = await world.done(query)
    assert [(one.answer, one.finish_reason) for one in done.answers] == [("9", "stop")]
    assert done.decision.usage["small"].tokens_out == 500 + 4 * 20


async def test_a_cap_looks_at_no_answers_and_asks_for_one_at_the_end(recorded):
    world, query = recorded(TokenCap(150))
    done = await world.done(query)
    assert [(one.answer, one.finish_reason) for one in done.answers] == [("4", "closed")]
    assert done.decision.usage["small"] == Usage(12, 0, 200 + 20, 0, side_calls=1, samples=1)


async def test_a_rule_without_growth_sees_whole_samples_only(recorded):
    world, query = recorded(Agreement(1))
    done = await world.done(query)
    assert done.decision.usage["small"] == Usage(12, 0, 500, 0, samples=1)


async def test_other_traces_are_let_go_and_vote_with_their_tentative_answers(recorded):
    second = [row(1, None, "9"), row(1, 100, "7"), row(1, 300, "4")]
    world, query = recorded(Converged(equal=2, every=1), TRACE + second, max_samples=2, width=2)
    done = await world.done(query)
    assert sorted((one.answer, one.finish_reason) for one in done.samples) == [("4", "closed"), ("4", "cut")]
    assert done.decision.answer == "4"
    assert done.decision.confidence == 1.0


@dataclass(frozen=True)
class GivesUp(StoppingRule):
    """ESCALATE at the second look."""

    reads_content: ClassVar[bool] = True
    growth: ClassVar[Growth] = Growth(0, 1)

    def verdict(self, seen: Observation, signals: Signals) -> Verdict:
        return ESCALATE if len(seen.looks) == 2 else MORE


async def test_giving_the_last_stage_up_closes_the_trace_as_well(recorded):
    world, query = recorded(GivesUp())
    done = await world.done(query)
    assert [(one.answer, one.finish_reason) for one in done.answers] == [("4", "closed")]
    assert done.decision.stop_reason == "exhausted"


@dataclass(frozen=True)
class Remembers(StoppingRule):
    """Keeps what it was shown."""

    shown: ClassVar[list[Observation]] = []
    reads_content: ClassVar[bool] = True
    growth: ClassVar[Growth] = Growth(0, 1, repeats=True)
    signals: ClassVar[list[Signals]] = []

    def verdict(self, seen: Observation, signals: Signals) -> Verdict:
        self.shown.append(seen)
        self.signals.append(dict(signals))
        return ENOUGH if seen.latest is not None and seen.latest.finished else MORE


async def test_looks_carry_classes_of_their_own_and_no_texts(recorded):
    rule = Remembers()
    world, query = recorded(rule)
    await world.done(query)
    last = rule.shown[-1]
    assert [look.answer_class for look in last.trace("0.0")] == [0, 1, 1, 1]
    assert all(not look.text for look in last.looks)
    assert rule.shown[0].samples[0].text
    assert last.tally.answers == ("9",)
    assert "looping/0.0" in rule.signals[0]


async def test_the_caller_is_told_of_the_closed_sample_before_the_verdict(recorded):
    world, query = recorded(Converged(equal=2, every=1))
    events = await world.events(query, Options(tell=True))
    assert [type(event).__name__ for event in events if type(event).__name__ != "Delta"] == [
        "Started", "Judged", "Judged", "SampleEnded", "Judged", "Done",
    ]  # fmt: skip
