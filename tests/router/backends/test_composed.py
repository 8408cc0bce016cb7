"""Small and large write one sample together: who writes what, what is charged, what is left when it is cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from math import log

import pytest

from predictors.observation import Message, Part, Query, Sample, Sampling, TokenLogprob
from router.backends import Call, Capabilities
from router.backends.composed import Composed
from router.backends.draft_then_refine import DraftThenRefine
from router.backends.glimpse import Glimpse
from router.backends.speculative_steps import SpeculativeSteps
from router.backends.step_judge import expected_digit
from router.config import BackendConfig, ComposeConfig
from router.domain.events import Delta
from router.domain.usage import Meter, Usage
from router.errors import BackendTimeout, BackendUnavailable

SURE, UNSURE = 0.1, 2.0


@dataclass
class Member:
    """Goes on with the next of `says`, cut behind `until`; every call costs 10 tokens in and one per word out."""

    name: str
    says: Sequence[str]
    entropy: Callable[[int], float | None] = lambda number: SURE
    digits: Sequence[int] = ()  # of scoring calls, in order
    hang_at: int | None = None
    calls: list[Call] = field(default_factory=list)
    freed: int = 0
    hangs: asyncio.Event = field(default_factory=asyncio.Event)
    capabilities: Capabilities = field(
        default_factory=lambda: Capabilities(logprobs=True, context_tokens=100)
    )

    async def sample(self, call: Call, meter: Meter) -> AsyncIterator[Sample]:
        number = len(self.calls)
        self.calls.append(call)
        try:
            if self.hang_at == number:
                self.hangs.set()
                await asyncio.Event().wait()
            scoring = call.query.token_logprobs
            scored = sum(one.query.token_logprobs for one in self.calls) - 1
            text = str(self.digits[scored]) if scoring else self._next(call)
            tokens = max(1, len(text.split()))
            meter.add(self.name, Usage(10, 4, tokens, samples=1))
            yield Sample(
                f"{call.stage}.0", self.name, text, finish_reason="length" if call.sampling.max_tokens == 1 else "stop", tokens_in=10, tokens_cached=4,
                tokens_out=tokens, mean_logprob=-0.5, first_entropy=self.entropy(number),
                token_logprobs=(TokenLogprob(text, -0.01),) if scoring else (),
            )  # fmt: skip
        finally:
            self.freed += 1

    async def close(self) -> None:
        """Nothing to release."""

    def _next(self, call: Call) -> str:
        rest = "".join(self.says)
        if call.begun and rest.startswith(call.begun):
            rest = rest[len(call.begun) :]
        elif call.begun:  # somebody else wrote a part of it: go on with as many steps as there are
            rest = "".join(self.says[call.begun.count("\n\n") :]).removeprefix(
                call.begun.rpartition("\n\n")[2]
            )
        for stop in (*call.sampling.stop, call.until) if call.until else ():
            rest = rest[: rest.index(stop) + len(stop)] if stop in rest else rest
        if call.sampling.max_tokens == 1 and rest:
            return rest.split(" ")[0]
        return rest


SMALL = ("one small.\n\n", "two small.\n\n", "Answer: 4")
LARGE = ("one large.\n\n", "two large.\n\n", "Answer: 5")


def made(kind: type[Composed], small: Member, large: Member, **how: object) -> Composed:
    config = BackendConfig(kind="x", compose=ComposeConfig(small="s", large="l", **how))  # type: ignore[arg-type]
    return kind("both", config, {"s": small, "l": large})


async def sampled(backend: Composed, call: Call) -> tuple[list[Sample], list[Delta], Meter]:
    meter, samples, deltas = Meter(), list[Sample](), list[Delta]()
    async with aclosing(backend.sample(call, meter)) as events:
        async for event in events:
            if isinstance(event, Delta):
                deltas.append(event)
            else:
                samples.append(event)
    return samples, deltas, meter


@pytest.mark.parametrize("kind", [Glimpse, SpeculativeSteps])
async def test_a_text_ends_where_the_caller_wants_it_to_stop_also_inside_of_a_step(make_call, kind):
    said = ("one.\n\n", "two ### three.\n\n", "four")
    small, large = Member("s", said, digits=(9,) * 9), Member("l", said, digits=(9,) * 9)
    call = make_call(sampling=Sampling(max_tokens=2000, stop=("###",)))
    (sample,), deltas, _ = await sampled(made(kind, small, large), replace(call, stream=True))
    assert sample.text == "".join(delta.text for delta in deltas) == "one.\n\ntwo "
    assert sample.finish_reason == "stop"


async def test_a_sure_small_model_writes_everything(make_call):
    small, large = Member("s", SMALL), Member("l", LARGE)
    (sample,), _, meter = await sampled(made(Glimpse, small, large), make_call())
    assert sample.text == "".join(SMALL)
    assert large.calls == []
    assert meter.by_backend["both"] == Usage(samples=1)
    assert meter.by_backend["s"].samples == 0


async def test_an_unsure_first_token_hands_the_step_to_the_large_model(make_call):
    small = Member("s", SMALL, entropy=lambda number: UNSURE if number == 2 else SURE)
    large = Member("l", LARGE)
    (sample,), _, _ = await sampled(made(Glimpse, small, large), make_call())
    assert sample.text == "one small.\n\ntwo large.\n\nAnswer: 4"
    assert [call.begun for call in large.calls] == ["one small.\n\n"]


async def test_without_log_probabilities_the_large_model_writes(make_call):
    small, large = Member("s", SMALL, entropy=lambda number: None), Member("l", LARGE)
    (sample,), _, _ = await sampled(made(Glimpse, small, large), make_call())
    assert sample.text == "".join(LARGE)


async def test_the_last_step_that_is_allowed_is_written_to_the_end(make_call):
    small, large = Member("s", SMALL), Member("l", LARGE)
    (sample,), _, _ = await sampled(made(Glimpse, small, large, most_steps=1), make_call())
    assert sample.text == "".join(SMALL)
    assert small.calls[-1].until == ""


async def test_a_drafted_step_is_kept_where_it_scores_and_written_anew_where_not(make_call):
    small, large = Member("s", SMALL), Member("l", LARGE, digits=(9, 2, 8))
    (sample,), _, _ = await sampled(made(SpeculativeSteps, small, large), make_call())
    assert sample.text == "one small.\n\ntwo large.\n\nAnswer: 4"
    scoring = [call for call in large.calls if call.query.token_logprobs]
    assert [message.role for message in scoring[0].query.messages] == ["user", "assistant", "user"]
    assert scoring[1].query.messages[1].text == "one small.\n\ntwo small.\n\n"
    assert scoring[0].sampling.max_tokens == 1


async def test_the_first_steps_may_be_the_large_models_own(make_call):
    small, large = Member("s", SMALL), Member("l", LARGE, digits=(9, 9))
    (sample,), _, _ = await sampled(made(SpeculativeSteps, small, large, first_by_large=1), make_call())
    assert sample.text.startswith("one large.\n\ntwo small.")


async def test_a_draft_is_shown_to_the_large_model_and_its_answer_counts(make_call):
    small, large = Member("s", ("my draft",)), Member("l", ("better",))
    (sample,), deltas, meter = await sampled(made(DraftThenRefine, small, large), make_call(stream=True))
    assert (sample.text, sample.tokens_out) == ("better", 1)
    assert [delta.text for delta in deltas] == ["better"]
    turns = [(message.role, message.text) for message in large.calls[0].query.messages]
    assert turns[1] == ("assistant", "my draft")
    assert turns[2][0] == "user"
    assert meter.by_backend["s"].tokens_out == 2


@pytest.mark.parametrize("kind", [Glimpse, SpeculativeSteps, DraftThenRefine])
async def test_every_call_is_charged_to_who_answered_it(kind, make_call):
    small, large = Member("s", SMALL), Member("l", LARGE, digits=(9,) * 6)
    samples, _, meter = await sampled(made(kind, small, large), make_call(max_samples=2, width=1))
    assert len(samples) == 2
    assert meter.by_backend["both"] == Usage(samples=2)
    for member in (small, large):
        used = meter.by_backend.get(member.name, Usage())
        assert (used.tokens_in, used.side_calls, used.samples) == (
            10 * len(member.calls),
            len(member.calls),
            0,
        )
    assert samples[0].tokens_in == 10 * (len(small.calls) + len(large.calls)) / 2
    assert samples[0].latency_s is not None
    assert samples[0].first_token_s is not None


async def test_pieces_stream_and_join_to_the_text(make_call):
    small = Member("s", SMALL, entropy=lambda number: UNSURE if number == 0 else SURE)
    (sample,), deltas, _ = await sampled(made(Glimpse, small, Member("l", LARGE)), make_call(stream=True))
    assert "".join(delta.text for delta in deltas) == sample.text
    assert len(deltas) == 3
    assert {delta.backend for delta in deltas} == {"both"}


async def test_the_text_stays_within_the_limit_of_the_sample(make_call):
    small, large = Member("s", SMALL), Member("l", LARGE, digits=(9,) * 9)
    backend = made(SpeculativeSteps, small, large)
    (sample,), _, _ = await sampled(backend, make_call(sampling=Sampling(max_tokens=4)))
    limits = [call.sampling.max_tokens for call in small.calls]
    assert limits == [4, 2]
    assert sample.tokens_out <= 4 + 1


async def test_a_step_without_words_does_not_go_on_for_ever(make_call):
    small, large = Member("s", ("\n\n",) * 50), Member("l", LARGE)
    (sample,), _, _ = await sampled(made(Glimpse, small, large), make_call())
    assert len(small.calls) <= 4
    assert sample.finish_reason == "stop"


async def test_leaving_frees_the_call_that_is_under_way(make_call):
    small, large = Member("s", SMALL, hang_at=1), Member("l", LARGE)
    meter = Meter()
    task = asyncio.ensure_future(anext(made(Glimpse, small, large).sample(make_call(), meter)))
    async with asyncio.timeout(5):
        await small.hangs.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert small.freed == 2


@dataclass
class Failing(Member):
    async def sample(self, call: Call, meter: Meter) -> AsyncIterator[Sample]:
        raise BackendTimeout("l: no token")
        yield


async def test_a_member_that_fails_fails_the_sample(make_call):
    small = Member("s", SMALL, entropy=lambda number: UNSURE)
    with pytest.raises(BackendTimeout):
        await sampled(made(Glimpse, small, Failing("l", LARGE)), make_call())


async def test_a_member_that_is_not_there_is_named(make_call):
    config = BackendConfig(kind="glimpse", compose=ComposeConfig(small="s", large="l"))
    lacking = Glimpse("both", config, {"s": Member("s", SMALL)})
    with pytest.raises(BackendUnavailable, match="no backend 'l' to compose; there is s"):
        await sampled(lacking, make_call())


def test_it_can_do_what_both_can():
    small, large = Member("s", SMALL), Member("l", LARGE)
    large.capabilities = Capabilities(logprobs=False, context_tokens=60, tools=True)
    capabilities = made(Glimpse, small, large).capabilities
    assert (capabilities.logprobs, capabilities.context_tokens, capabilities.tools) == (False, 60, False)


def test_a_score_is_expected_over_the_digits_among_the_alternatives():
    top = (TokenLogprob("9", log(0.5)), TokenLogprob(" 1", log(0.25)), TokenLogprob("no", log(0.25)))
    said = Sample("0.0", "l", token_logprobs=(TokenLogprob("9", log(0.5), top=top),))
    assert expected_digit(said) == pytest.approx((9 * 0.5 + 1 * 0.25) / 0.75)
    assert expected_digit(Sample("0.0", "l")) is None
    assert expected_digit(Sample("0.0", "l", token_logprobs=(TokenLogprob("no", -0.1),))) is None


def test_going_on_from_a_text_and_ending_behind_a_mark_are_vllms_own_words(make_call):
    from router.backends.openai_body import request_body

    call = make_call(begun="so far", until="\n\n")
    chat = request_body(call, BackendConfig(model="m"))
    assert chat["messages"][-1] == {"role": "assistant", "content": "so far"}
    assert (chat["continue_final_message"], chat["stop"], chat["include_stop_str_in_output"]) == (
        True,
        ["\n\n"],
        True,
    )
    text = request_body(call, BackendConfig(model="m", api="completions"))
    assert text["prompt"].endswith("so far")
    assert "continue_final_message" not in text
    query = Query("r", (Message("user", (Part(text="?"),)),))
    assert "stop" not in request_body(make_call(query={"messages": query.messages}), BackendConfig(model="m"))
