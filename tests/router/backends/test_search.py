"""A search over steps: which texts go on, who says so, what it costs at most, what is left when it is cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from predictors.observation import Sample, Sampling, TokenLogprob
from router.backends import Call, Capabilities
from router.backends.search import Search
from router.backends.search_keep import KEEPS
from router.backends.vllm import VLLM
from router.config import BackendConfig, ComposeConfig, Config
from router.costs.backend_terms import bounds_of
from router.costs.worst_case import used_amount, worst_amount
from router.domain.events import Delta
from router.domain.plan import Plan, Stage
from router.domain.usage import Meter, Usage
from router.errors import BackendTimeout, BackendUnavailable
from router.selectors.first import First
from router.stopping.never import Never

TREE = {
    "": ("good\n\n", "bad\n\n", "bad\n\n", "poor\n\n"),
    "good\n\n": ("fine\n\n", "slip\n\n"),
    "good\n\nfine\n\n": ("Answer: 4",),
    "good\n\nslip\n\n": ("Answer: 5",),
    "bad\n\n": ("Answer: 6",),
    "poor\n\n": ("Answer: 7",),
}
DIGITS = {"good": 9, "bad": 1, "poor": 5, "fine": 8, "slip": 2}


@dataclass
class Writer:
    """Goes on from what was begun as the tree says, in order; 10 tokens in per request, one out per word."""

    name: str = "s"
    tree: Mapping[str, Sequence[str]] = field(default_factory=lambda: TREE)
    logprob: Mapping[str, float] = field(default_factory=dict)  # by first word; else -1
    fails_at: frozenset[str] = frozenset()  # what was begun
    hang_at: str | None = None
    calls: list[Call] = field(default_factory=list)
    freed: int = 0
    hangs: asyncio.Event = field(default_factory=asyncio.Event)
    capabilities: Capabilities = field(
        default_factory=lambda: Capabilities(logprobs=True, tools=True, context_tokens=100)
    )

    async def sample(self, call: Call, meter: Meter) -> AsyncIterator[Sample]:
        self.calls.append(call)
        try:
            meter.add(self.name, Usage(10, 4))
            if self.hang_at == call.begun:
                self.hangs.set()
                await asyncio.Event().wait()
            if call.begun in self.fails_at:
                raise BackendTimeout(f"{self.name}: no token")
            says = self.tree[call.begun]
            for number in range(call.max_samples):
                text = self.whole(call.begun + says[number % len(says)]) if not call.until else ""
                text = text.removeprefix(call.begun) or says[number % len(says)]
                tokens = len(text.split())
                meter.add(self.name, Usage(0, 0, tokens, samples=1))
                yield Sample(
                    f"{call.stage}.{number}", self.name, text, index=number, finish_reason="stop", tokens_in=10,
                    tokens_cached=0, tokens_out=tokens, mean_logprob=self.logprob.get(text.split()[0], -1.0),
                )  # fmt: skip
        finally:
            self.freed += 1

    def whole(self, text: str) -> str:
        while text in self.tree:
            text += self.tree[text][0]
        return text

    async def close(self) -> None:
        """Nothing to release."""


@dataclass
class Judge:
    """Says the digit of the last step's first word, or nothing."""

    name: str = "l"
    digits: Mapping[str, int] = field(default_factory=lambda: DIGITS)
    calls: list[Call] = field(default_factory=list)
    capabilities: Capabilities = field(default_factory=Capabilities)

    async def sample(self, call: Call, meter: Meter) -> AsyncIterator[Sample]:
        self.calls.append(call)
        step = call.query.messages[-2].text.split("\n\n")
        word = (step[-1] or step[-2]).split()[0]
        digit = str(self.digits.get(word, 7))
        meter.add(self.name, Usage(20, 0, 1, samples=1))
        yield Sample(
            "0.0", self.name, digit, finish_reason="length", tokens_in=20, tokens_out=1,
            token_logprobs=(TokenLogprob(digit, -0.01),) if word in self.digits or word == "Answer:" else (),
        )  # fmt: skip

    async def close(self) -> None:
        """Nothing to release."""


def made(writer: object, large: object | None = None, **how: object) -> Search:
    compose = ComposeConfig(small="s", large="l" if large else "", **how)  # type: ignore[arg-type]
    members = {"s": writer} | ({"l": large} if large else {})
    return Search("both", BackendConfig(kind="search", compose=compose), members)  # type: ignore[arg-type]


async def sampled(backend: Search, call: Call) -> tuple[list[Sample], list[Delta], Meter]:
    meter, samples, deltas = Meter(), list[Sample](), list[Delta]()
    async with aclosing(backend.sample(call, meter)) as events:
        async for event in events:
            (deltas if isinstance(event, Delta) else samples).append(event)  # type: ignore[arg-type]
    return samples, deltas, meter


async def test_the_steps_that_the_judge_likes_go_on_and_become_the_sample(make_call):
    writer, judge = Writer(), Judge()
    (sample,), _, _ = await sampled(made(writer, judge), make_call())
    assert sample.text == "good\n\nfine\n\nAnswer: 4"
    assert sample.tokens_out == 4
    assert [(call.begun, call.max_samples) for call in writer.calls] == [
        ("", 4),
        ("good\n\n", 2),
        ("poor\n\n", 2),  # beams = 2: the best two of the three that differ
        ("good\n\nfine\n\n", 2),
        ("good\n\nslip\n\n", 2),
    ]
    assert all(call.until == "\n\n" for call in writer.calls)


async def test_equal_steps_are_judged_once(make_call):
    judge = Judge()
    await sampled(made(Writer(), judge, expansions=4), make_call())
    assert len(judge.calls) == 3  # good, bad (twice the same), poor


async def test_a_text_is_as_good_as_its_weakest_step(make_call):
    tree = {"": ("weak\n\n", "even\n\n"), "weak\n\n": ("Answer: 1",), "even\n\n": ("Answer: 2",)}
    judge = Judge(digits={"weak": 2, "even": 6})  # both answers are judged 7
    (sample,), _, _ = await sampled(made(Writer(tree=tree), judge), make_call())
    assert sample.text == "even\n\nAnswer: 2"


async def test_by_log_probabilities_no_large_model_is_needed(make_call):
    writer = Writer(logprob={"poor": -0.1})
    (sample,), _, meter = await sampled(made(writer, scorer="logprob", beams=1), make_call())
    assert sample.text == "poor\n\nAnswer: 7"
    assert set(meter.by_backend) == {"both", "s"}


async def test_with_its_expansions_used_up_the_best_open_text_is_written_to_its_end(make_call):
    writer = Writer()
    (sample,), _, _ = await sampled(made(writer, Judge(), expansions=4), make_call())
    assert sample.text == "good\n\nfine\n\nAnswer: 4"
    assert [(call.begun, call.until, call.max_samples) for call in writer.calls] == [
        ("", "\n\n", 4),
        ("good\n\n", "", 1),
    ]


@pytest.mark.parametrize("keep", sorted(KEEPS))
@pytest.mark.parametrize("expansions", [1, 3, 7, 32])
async def test_never_more_steps_are_written_than_it_may(make_call, keep: str, expansions: int):
    writer = Writer()
    (sample,), _, _ = await sampled(made(writer, Judge(), keep=keep, expansions=expansions), make_call())
    assert sum(call.max_samples for call in writer.calls if call.until) <= expansions
    assert "Answer" in sample.text


async def test_a_step_that_is_too_long_goes_on_and_one_at_the_samples_limit_ends(make_call):
    tree = {
        "": ("one two three ",),
        "one two three ": ("four five six ",),
        "one two three four five six ": ("end",),
    }
    writer = Writer(tree=tree)
    how = {"step_tokens": 3, "beams": 1, "candidates": 1}
    (sample,), _, _ = await sampled(made(writer, Judge(), **how), make_call())
    assert sample.text == "one two three four five six end"
    (cut,), _, _ = await sampled(
        made(Writer(tree=tree), Judge(), **how), make_call(sampling=Sampling(max_tokens=6))
    )
    assert cut.text == "one two three four five six "


async def test_every_call_is_charged_to_who_answered_it(make_call):
    writer, judge = Writer(), Judge()
    samples, _, meter = await sampled(made(writer, judge), make_call(max_samples=2, width=2))
    assert meter.by_backend["both"] == Usage(samples=2)
    assert meter.by_backend["s"].tokens_in == 10 * len(writer.calls)
    assert meter.by_backend["s"].samples == meter.by_backend["l"].samples == 0
    booked = sum(one.tokens_in for one in meter.by_backend.values())
    assert sum(sample.tokens_in for sample in samples) == booked  # answers of one request share its prompt
    used = meter.by_backend["l"]
    assert (used.tokens_in, used.tokens_out, used.side_calls) == (
        20 * len(judge.calls),
        len(judge.calls),
        len(judge.calls),
    )


async def test_what_it_uses_stays_within_what_was_reserved(make_call):
    compose = ComposeConfig(small="s", large="l", expansions=9, step_tokens=3)
    backends = {
        "s": BackendConfig(price_in=1.0, price_out=2.0, max_tokens=12),
        "l": BackendConfig(price_in=3.0, price_out=5.0, max_tokens=12),
        "both": BackendConfig(kind="search", compose=compose, max_tokens=12),
    }
    config = Config(backends=backends, plans=())
    bounds = bounds_of(config)
    call = make_call()
    plan = Plan("search", (Stage("both", Never(), First()),))
    worst = worst_amount(call.query, plan, bounds)
    search = Search("both", backends["both"], {"s": Writer(), "l": Judge()})
    _, _, meter = await sampled(search, call)
    used = used_amount(meter.by_backend, {name: bound.price for name, bound in bounds.items()})
    assert 0 < used.micros < worst.micros
    assert used.tokens < worst.tokens
    bound = bounds["both"]
    assert (bound.calls, bound.dropped_tokens) == (19, 27)


async def test_the_best_text_streams_at_the_end_and_whole(make_call):
    (sample,), deltas, _ = await sampled(made(Writer(), Judge()), make_call(stream=True))
    assert "".join(delta.text for delta in deltas) == sample.text
    assert {delta.backend for delta in deltas} == {"both"}


async def test_leaving_frees_every_call_that_is_under_way_and_has_booked_them(make_call):
    writer = Writer(hang_at="poor\n\n")
    meter = Meter()
    task = asyncio.ensure_future(anext(made(writer, Judge()).sample(make_call(), meter)))
    async with asyncio.timeout(5):
        await writer.hangs.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert writer.freed == len(writer.calls) == 3
    assert meter.by_backend["s"].tokens_in == 30
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_branch_that_fails_is_dropped_and_the_others_go_on(make_call):
    writer = Writer(fails_at=frozenset({"good\n\n"}))
    (sample,), _, _ = await sampled(made(writer, Judge()), make_call())
    assert sample.text == "poor\n\nAnswer: 7"


async def test_where_every_branch_fails_the_sample_fails(make_call):
    with pytest.raises(BackendTimeout):
        await sampled(made(Writer(fails_at=frozenset({""})), Judge()), make_call())


async def test_a_text_that_has_ended_is_not_lost_with_a_later_round(make_call):
    tree = {"": ("Answer: 4", "bad\n\n"), "bad\n\n": ("Answer: 6",)}
    writer = Writer(tree=tree, fails_at=frozenset({"bad\n\n"}))
    (sample,), _, _ = await sampled(made(writer, Judge(), candidates=2), make_call())
    assert sample.text == "Answer: 4"


async def test_a_judge_that_is_away_is_told_and_not_passed_over(make_call):
    class Away(Judge):
        async def sample(self, call: Call, meter: Meter) -> AsyncIterator[Sample]:
            raise BackendUnavailable(f"{self.name}: gone")
            yield  # a generator

    with pytest.raises(BackendUnavailable, match="l: gone"):
        await sampled(made(Writer(), Away()), make_call())


async def test_who_is_not_scored_is_worth_nothing(make_call):
    judge = Judge(digits={"poor": 3, "fine": 8})  # says nothing of good and bad
    (sample,), _, _ = await sampled(made(Writer(), judge, beams=1), make_call())
    assert sample.text == "poor\n\nAnswer: 7"


async def test_a_member_that_is_not_there_is_named(make_call):
    compose = ComposeConfig(small="s", large="l")
    lacking = Search("both", BackendConfig(compose=compose), {"s": Writer()})
    with pytest.raises(BackendUnavailable, match="no backend 'l' to compose; there is s"):
        await sampled(lacking, make_call())


def test_it_can_do_what_its_writer_can_but_no_tools():
    capabilities = made(Writer(), Judge()).capabilities
    assert (capabilities.logprobs, capabilities.tools, capabilities.context_tokens) == (True, False, 100)


# --- a reward model -------------------------------------------------------------------------------------------------


@pytest.fixture
async def reward_server() -> AsyncIterator[tuple[str, list[dict]]]:
    """vLLM's `/pooling` of a process reward model: chances (wrong, right) of every step."""
    asked: list[dict] = []

    async def pooling(request: web.Request) -> web.Response:
        asked.append(body := await request.json())
        text = body["messages"][-1]["content"]
        if "boom" in text:
            return web.json_response({"error": {"message": "no"}}, status=500)
        chance = 0.9 if "poor" in text else 0.2
        return web.json_response(
            {"data": [{"data": [[0.5, 0.5], [1 - chance, chance]]}], "usage": {"prompt_tokens": 33}}
        )

    app = web.Application()
    app.router.add_post("/pooling", pooling)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    yield f"http://127.0.0.1:{port}", asked
    await runner.cleanup()


async def test_a_reward_model_scores_and_its_reading_is_charged(make_call, reward_server):
    url, asked = reward_server
    large = VLLM("l", BackendConfig(urls=(url,), model="prm"))
    search = made(Writer(), large, scorer="reward", reward_mark="<step>", beams=1)
    (sample,), _, meter = await sampled(search, make_call())
    await search.close()
    await large.close()
    assert sample.text == "poor\n\nAnswer: 7"
    assert asked[0]["model"] == "prm"
    assert asked[0]["messages"][-1] == {"role": "assistant", "content": "good\n\n<step>"}
    used = meter.by_backend["l"]
    assert (used.tokens_in, used.tokens_out, used.side_calls) == (33 * len(asked), 0, len(asked))


async def test_texts_that_the_reward_model_fails_on_are_worth_nothing(make_call, reward_server):
    url, _ = reward_server
    tree = {"": ("boom\n\n", "poor\n\n"), "boom\n\n": ("Answer: 1",), "poor\n\n": ("Answer: 7",)}
    large = VLLM("l", BackendConfig(urls=(url,), model="prm"))
    search = made(Writer(tree=tree), large, scorer="reward", beams=1)
    (sample,), _, meter = await sampled(search, make_call())
    await search.close()
    await large.close()
    assert sample.text == "poor\n\nAnswer: 7"
    assert meter.by_backend["l"].side_calls == 3
