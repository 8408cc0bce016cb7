"""A growing sample and its side calls, with everything that a server may do made up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from predictors.observation import Sample, Sampling
from router.backends import Call
from router.backends.elicit import asking_words, closing_words, thought_is_open, written
from router.backends.openai_trace import Trace, probability
from router.config import GrowingConfig
from router.domain.events import Delta
from router.domain.growth import Growth
from router.errors import BackendUnavailable

AT_ONCE = GrowingConfig(cues=(), side_call_s=5.0)


def state(text: str, tokens: int, *, finished: bool = False, reasoning: str = "") -> Sample:
    return Sample(
        "0.0", "small", text, finished=finished, finish_reason="stop" * finished, reasoning=reasoning,
        tokens_out=tokens, prefix_tokens=None if finished else tokens,
    )  # fmt: skip


def said(text: str, *, reason: str = "stop", logprob: float | None = -0.1, tokens: int = 2) -> Sample:
    return Sample("0.0", "small", text, finish_reason=reason, tokens_out=tokens, mean_logprob=logprob)


@dataclass
class Server:
    """Says these states in turn; the answers of side calls come from `answer`. Everything is counted."""

    states: list[Sample | Delta]
    answer: Callable[[str, int], Sample | Exception] = lambda begun, most: said(" 4.")
    slow: bool = False  # side calls never come back
    asked: list[tuple[str, int]] = field(default_factory=list)
    closed: bool = False
    cancelled: int = 0

    async def stream(self) -> AsyncGenerator[Sample | Delta, None]:
        try:
            for one in self.states:
                await asyncio.sleep(0)  # lets the side call run, as a real stream does
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                yield one
        finally:
            self.closed = True

    async def ask(self, begun: str, most: int) -> Sample:
        self.asked.append((begun, most))
        try:
            if self.slow:
                await asyncio.Event().wait()
            answer = self.answer(begun, most)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def follow(make_call):
    """Run a trace to its end; `rule` closes it at the first look for which it is true."""

    async def run(
        server: Server,
        *,
        how: GrowingConfig = AT_ONCE,
        growth: Growth | None = None,
        rule=lambda look: False,
        **call,
    ) -> list[Sample | Delta]:
        wanted = growth or Growth(0, 1)
        asked: Call = make_call(growing=True, growth=wanted, **call)
        events: list[Sample | Delta] = []
        async for event in Trace(asked, wanted, how, server.stream(), server.ask).events():
            events.append(event)
            if isinstance(event, Sample) and not event.finished and rule(event):
                asked.closing.add(event.sample_id)
        return events

    return run


THREE = [state("a", 10), state("a b", 20), state("a b c", 30), state("a b c d", 40, finished=True)]


async def test_looks_carry_the_answer_that_the_sample_would_give_then(follow):
    server = Server(list(THREE))
    events = await follow(server)
    assert [(one.text, one.answer, one.finished) for one in events] == [
        ("a", "4", False), ("a b", "4", False), ("a b c", "4", False), ("a b c d", None, True),
    ]  # fmt: skip
    assert server.asked[0][0] == "a\n\nThe answer is"
    assert events[0].confidence == pytest.approx(probability(said(" 4.")))


async def test_looks_are_at_least_so_many_tokens_apart(follow):
    events = await follow(Server(list(THREE)), growth=Growth(15, 15))
    assert [one.prefix_tokens for one in events] == [20, None]


async def test_without_answers_nothing_is_asked(follow):
    server = Server(list(THREE))
    events = await follow(server, growth=Growth(0, 1, answers=False))
    assert [one.answer for one in events] == [None] * 4
    assert server.asked == []


async def test_a_closed_trace_takes_its_tentative_answer_where_that_was_whole(follow):
    server = Server(list(THREE))
    events = await follow(server, rule=lambda look: look.tokens_out == 20)
    last = events[-1]
    assert (last.text, last.finish_reason, last.tokens_out) == ("a b\n\nThe answer is 4.", "closed", 20)
    assert len(server.asked) == 2
    assert server.closed


async def test_a_closed_trace_is_asked_again_where_the_tentative_answer_was_cut(follow):
    server = Server(
        list(THREE), lambda begun, most: said(" 4, because", reason="length" if most == 20 else "stop")
    )
    events = await follow(server, rule=lambda look: True)
    assert events[-1].text == "a\n\nThe answer is 4, because"
    assert [most for _, most in server.asked] == [20, 256]
    assert events[-1].tokens_out == 10 + 2


@pytest.mark.parametrize(("limit", "most"), [(20, []), (22, [2])])
async def test_a_closed_trace_never_has_more_tokens_than_its_sample_may(follow, limit, most):
    def cut(begun: str, tokens: int) -> Sample:
        return said(" 4 and", reason="length", tokens=tokens)

    server = Server(list(THREE[:2]), cut)
    events = await follow(
        server, rule=lambda look: look.tokens_out == 20, sampling=Sampling(max_tokens=limit)
    )
    last = events[-1]
    assert [tokens for _, tokens in server.asked[2:]] == most
    assert (last.finished, last.tokens_out) == (True, limit)
    assert last.answer == (None if most else "4")


async def test_a_thought_is_closed_and_the_answer_comes_behind_it(follow):
    thinking = [state("<think>one two", 10), state("<think>one two three", 20)]
    server = Server([*thinking, state("never", 30, finished=True)], lambda begun, most: said("It is 4."))
    events = await follow(server, rule=lambda look: True)
    assert server.asked[0][0] == "<think>one two\n</think>\n\nThe answer is"
    assert server.asked[-1][0] == "<think>one two\n</think>\n\n"
    assert events[-1].text == "<think>one two\n</think>\n\nIt is 4."


async def test_a_parsed_thought_stays_a_thought_and_the_answer_is_the_text(follow):
    thinking = [state("", 10, reasoning="one two"), state("", 20, reasoning="one two three")]
    parsed = Sample("0.0", "small", "", reasoning=" It is 4.", finish_reason="stop", tokens_out=3)
    server = Server([*thinking, state("never", 30, finished=True)], lambda begun, most: parsed)
    events = await follow(server, rule=lambda look: True)
    assert server.asked[-1][0] == "<think>\none two\n</think>\n\n"
    assert (events[-1].text, events[-1].reasoning) == ("It is 4.", "one two")


async def test_a_model_without_marks_is_asked_behind_its_text():
    plain = state("one two", 10)
    assert not thought_is_open(plain, AT_ONCE)
    assert closing_words(plain, AT_ONCE) == asking_words(plain, AT_ONCE) == "\n\nThe answer is"
    assert asking_words(state("", 0), AT_ONCE) == "The answer is"


async def test_a_thought_that_the_template_opened_is_open_until_its_mark():
    opened = replace_how(opened=True)
    assert thought_is_open(state("one", 1), opened)
    assert not thought_is_open(state("one</think>two", 3), opened)
    assert written(state("two", 3, reasoning="one"), AT_ONCE) == "<think>\none\n</think>\n\ntwo"


def replace_how(**changes: Any) -> GrowingConfig:
    how: dict[str, Any] = {"cues": (), "side_call_s": 5.0}
    return GrowingConfig(**(how | changes))


async def test_a_trace_that_never_closes_its_thought_goes_to_its_end(follow):
    thinking = [state("<think>" + "on " * place, 10 * place) for place in range(1, 4)]
    server = Server([*thinking, state("<think>on and on", 40, finished=True)], lambda begun, most: said(""))
    events = await follow(server, rule=lambda look: look.answer is not None)
    assert (events[-1].text, events[-1].finish_reason) == ("<think>on and on", "stop")


async def test_an_empty_tentative_answer_is_none(follow):
    events = await follow(Server(list(THREE), lambda begun, most: said("\n")))
    assert [(one.answer, one.confidence) for one in events[:-1]] == [(None, None)] * 3


async def test_a_side_call_that_fails_lets_the_trace_go_on(follow):
    server = Server(list(THREE), lambda begun, most: BackendUnavailable("small: HTTP 400"))
    events = await follow(server, rule=lambda look: True)
    assert events == [THREE[-1]]
    assert len(server.asked) == 3


async def test_a_side_call_that_is_slow_holds_nothing_up_and_is_let_go(follow):
    server = Server(list(THREE), slow=True)
    assert await follow(server) == [THREE[-1]]
    assert (len(server.asked), server.cancelled) == (1, 1)


async def test_a_side_call_that_takes_too_long_is_given_up(follow):
    more = [state("a " * place, 10 * place) for place in range(1, 2000)]
    server = Server([*more, THREE[-1]], slow=True)
    events = await follow(server, how=replace_how(side_call_s=0.001))
    assert events == [THREE[-1]]
    assert len(server.asked) > 1


async def test_a_cue_is_found_where_it_came_in_two_pieces(follow):
    texts = [
        "first so the ans",
        "first so the answer is",
        "first so the answer is 4 and on",
        "first so the answer is 4 and on and on",
    ]
    states = [state(text, 10 * place) for place, text in enumerate(texts, 1)]
    server = Server([*states, state("end", 50, finished=True)])
    events = await follow(
        server, how=replace_how(cues=("So the answer is",), patience=1000), growth=Growth(0, 1)
    )
    assert [one.prefix_tokens for one in events if not one.finished] == [20]


async def test_a_look_that_waits_for_a_cue_comes_in_the_end_without_one(follow):
    states = [state("on " * place, 10 * place) for place in range(1, 6)]
    server = Server([*states, state("end", 60, finished=True)])
    events = await follow(server, how=replace_how(cues=("wait",), patience=25), growth=Growth(10, 1000))
    assert [one.prefix_tokens for one in events if not one.finished] == [40]


async def test_a_closing_call_that_fails_leaves_the_tentative_answer(follow):
    def answer(begun: str, most: int) -> Sample | Exception:
        return said(" 4, beca", reason="length") if most == 20 else BackendUnavailable("gone")

    events = await follow(Server(list(THREE), answer), rule=lambda look: True)
    assert (events[-1].finish_reason, events[-1].finished) == ("cut", True)
    assert events[-1].answer is not None


async def test_a_streaming_caller_gets_what_closed_the_sample_as_well(follow):
    pieces: list[Sample | Delta] = [Delta("0.0", "a"), state("a", 10), Delta("0.0", " b"), state("a b", 20)]
    server = Server([*pieces, state("end", 30, finished=True)], lambda begun, most: said(" 4."))
    events = await follow(server, growth=Growth(0, 15, answers=False), rule=lambda look: True, stream=True)
    assert "".join(event.text for event in events if isinstance(event, Delta)) == events[-1].text
    assert events[-1].text.endswith("\n\nThe answer is 4.")


async def test_what_was_shown_behind_the_last_look_stays_in_the_text(follow):
    """The rule speaks late: two more pieces have been shown by then."""
    pieces: list[Sample | Delta] = [
        state("a", 10),
        Delta("0.0", " b"),
        Delta("0.0", " c"),
        state("never", 90),
    ]
    server = Server([*pieces, state("end", 99, finished=True)], lambda begun, most: said(" 4."))
    events = await follow(server, growth=Growth(0, 1), rule=lambda look: True, stream=True)
    shown = "".join(event.text for event in events if isinstance(event, Delta))
    assert events[-1].finish_reason == "closed"
    assert events[-1].text == "a" + shown


async def test_leaving_frees_the_sample_and_its_side_call(make_call):
    server = Server([*THREE[:3], THREE[-1]], slow=True)
    call = make_call(growing=True, growth=Growth(0, 1), stream=True)
    server.states.insert(1, Delta("0.0", "x"))
    events = Trace(call, call.growth, AT_ONCE, server.stream(), server.ask).events()
    assert isinstance(await anext(events), Delta)
    await events.aclose()
    assert (server.closed, server.cancelled) == (True, 1)


async def test_the_answer_behind_a_thought_stays_within_the_limit_of_the_sample(follow, make_call):
    thinking = [state("<think>one", 1990)]
    server = Server([*thinking, state("never", 2000, finished=True)], lambda begun, most: said("4"))
    await follow(server, growth=Growth(0, 1, answers=False), rule=lambda look: True)
    assert server.asked[-1][1] == 2000 - 1990


def test_a_side_call_keeps_nothing_that_shapes_the_sample():
    from router.backends.elicit import continued

    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "?"}],
        "tools": [],
        "top_p": 0.5,
        "cache_salt": "s",
    }
    sent = continued(body, "so far", 20)
    assert sent["messages"][-1] == {"role": "assistant", "content": "so far"}
    assert sent["continue_final_message"] is True
    assert sent["add_generation_prompt"] is False
    assert sent["cache_salt"] == "s"
    assert not sent.keys() & {"tools", "top_p"}
    assert continued({"model": "m", "prompt": "Q:"}, " so far", 20)["prompt"] == "Q: so far"
