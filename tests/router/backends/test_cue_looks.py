"""Looks that wait for a rule's cues: a recording and a live server show a trace at the same places."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest

from predictors.observation import Sample
from router.backends.openai_trace import Trace
from router.backends.recorded import Recorded
from router.backends.recorded_looks import due_looks
from router.backends.recording_shelf import RecordingShelf
from router.config import BackendConfig, GrowingConfig
from router.domain.cues import CONCLUSIONS
from router.domain.events import Delta
from router.domain.growth import Growth
from router.recording import Recording

SHIPPED = Path(__file__).parents[3] / "training" / "recordings" / "house-traces"
SERVER = GrowingConfig(cues=("wait",), patience=8)


def state(text: str, tokens: int, reasoning: str = "", *, finished: bool = False) -> Sample:
    return Sample(
        "0.0", "small", text, reasoning=reasoning, finished=finished, finish_reason="stop" * finished,
        tokens_out=tokens, prefix_tokens=None if finished else tokens,
    )  # fmt: skip


@pytest.fixture
def live(make_call):
    """Tokens at the looks of a server that shows these states, then the whole sample."""

    async def run(states: Sequence[Sample], growth: Growth, how: GrowingConfig = SERVER) -> list[int]:
        async def stream() -> AsyncGenerator[Sample | Delta, None]:
            for one in states:
                yield one
            yield state("the end", 10_000, finished=True)

        async def ask(begun: str, most: int) -> Sample:
            raise AssertionError("nothing is asked where no answers are wanted")

        call = make_call(growing=True, growth=growth)
        events = Trace(call, growth, how, stream(), ask).events()
        return [
            one.tokens_out
            async for one in events
            if isinstance(one, Sample) and one.prefix_tokens is not None
        ]

    return run


def recorded(states: Sequence[Sample], growth: Growth) -> list[int]:
    """The same of a recording with these snapshots."""
    return [one.tokens_out for one in due_looks(states, [one.text for one in states], growth)]


def waiting(*cues: str, first: int = 0, every: int = 10) -> Growth:
    return Growth(first, every, answers=False, cues=cues)


def grown(*pieces: str) -> list[Sample]:
    """A state for each piece of a text, ten tokens each."""
    return [state("".join(pieces[:place]), 10 * place) for place in range(1, len(pieces) + 1)]


@pytest.mark.parametrize(
    ("states", "growth", "looks"),
    [
        (grown("on", " so the ANSWER", " is 4", ". The answer"), waiting("answer"), [20, 40]),
        (grown("the ans", "wer is 4", " and on"), waiting("Answer"), [20]),  # in two pieces
        (grown("on ", "and ", "on "), waiting("answer"), []),
        (grown("answer ", "and ", "on "), waiting("answer", first=25), [30]),  # said before the first look
        # waits for the check-point
        (
            grown("on ", "answer ", "and ", "on "),
            waiting("answer", every=20),
            [30],
        ),
        (grown("wait ", "thus ", "on "), waiting("thus", "hence"), [20]),  # not the server's cue
        (grown("answer ", "on ", "on ", "on "), waiting("answer", every=30), [10]),
        (grown("", "", "answer"), waiting("answer"), [30]),
    ],
    ids=["case", "two pieces", "none", "before the first", "later", "own cues", "once", "empty"],
)
async def test_recorded_and_live_traces_are_looked_at_in_the_same_places(live, states, growth, looks):
    assert recorded(states, growth) == looks
    assert await live(states, growth) == looks


@pytest.mark.parametrize(
    "growth", [waiting(*CONCLUSIONS, every=16), waiting(*CONCLUSIONS, first=60, every=48)]
)
async def test_a_server_looks_where_the_recording_of_its_trace_did(live, growth):
    """The traces that are shipped, followed twice as closely as they were recorded."""
    recording = Recording.load(SHIPPED, verify=False)
    compared = 0
    for query in recording.queries[:40]:
        seen = recording.snapshots(query.query_id, "large-check", 0)
        states = [state(one.text or "", round(one.tokens_out)) for one in seen]
        closely = [
            one
            for now, after in zip(states, states[1:] + states[-1:], strict=True)
            for one in (now, state(now.text + after.text[len(now.text) :][:9], now.tokens_out + 8))
        ]
        looks = recorded(states, growth)
        assert await live(closely, growth) == looks
        compared += len(looks)
    assert compared > 40


async def test_a_server_does_not_lose_patience_for_a_rule_that_waits(live):
    states = grown(*["on "] * 40)
    assert await live(states, Growth(0, 10, answers=False)) == list(range(10, 401, 20))
    assert await live(states, waiting("answer")) == []


async def test_cues_are_heard_in_a_thought_too(live):
    states = [
        state("", 10, "let me see"),
        state("", 20, "let me see, thus 4"),
        state("It is 4", 30, "let me see, thus 4"),
    ]
    assert await live(states, waiting("thus")) == [20]


def test_where_no_text_was_recorded_a_rule_with_cues_sees_nothing():
    states = grown("answer", " is", " the answer")
    assert due_looks(states, [None, None, None], waiting("answer")) == ()
    assert due_looks(states, [None, None, states[2].text], waiting("answer")) == (states[2],)
    assert len(due_looks(states, [None, None, None], Growth(0, 10))) == 3


async def test_a_recording_whose_snapshots_have_answers_alone_is_not_searched(record, make_call, draw):
    """An answer that stands in for a text that is missing is no text."""

    def row(prefix: int | None, text: str | None) -> dict[str, object]:
        return {
            "query_id": "a", "backend": "small", "sample_idx": 0, "prefix_tokens": prefix, "text": text,
            "answer": "thus 4", "reward": 1.0, "tokens_in": 12, "tokens_out": 60, "first_token_s": 0.5,
            "latency_s": 1.5, "confidence": None, "mean_logprob": None, "first_entropy": None,
            "finish_reason": None,
        }  # fmt: skip

    queries = [{"query_id": "a", "query": "What is 2 + 2?", "task": "sum", "gold": "4"}]
    folder = record(queries, [row(None, "so it is thus 4"), row(20, None), row(40, "so it is thus")])
    config = BackendConfig(kind="recorded", recording=folder.name)
    backend = Recorded("small", config, RecordingShelf(folder.parent))
    drawn = await draw(
        backend, make_call("What is 2 + 2?", growing=True, growth=Growth(0, 1, cues=("thus",)))
    )
    assert [look.prefix_tokens for look in drawn.growing] == [40]
