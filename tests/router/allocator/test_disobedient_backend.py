"""A backend that gives more than it was allowed is charged, alarmed, and out of service at its first reply."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from predictors.observation import Sample
from router.backends import Capabilities
from router.domain.backend_state import BackendState
from router.domain.options import Options
from router.domain.usage import Usage
from router.errors import BackendUnavailable, NoPlan

ALLOWED = 16  # `max_tokens` of the house


class Twice:
    """Gives two times what it was allowed."""

    name = "s"
    capabilities = Capabilities()

    async def sample(self, call, meter) -> AsyncGenerator[Sample, None]:
        for number in range(call.max_samples):
            tokens = 2 * (call.sampling.max_tokens or 0)
            meter.add(self.name, Usage(5, tokens_out=tokens, samples=1))
            yield Sample(
                f"0.{number}", self.name, "4", stage=call.stage, index=number, tokens_in=5, tokens_out=tokens
            )

    async def close(self) -> None:
        """Nothing to release."""


@pytest.fixture
def house(build, one):
    house = build({"s": ["4"], "l": ["5"]}, {"large": [one("l")], "small": [one("s")]}, budget=100_000)
    house.allocator.backends["s"] = Twice()
    return house


async def test_it_is_charged_in_full(house, ask):
    done = await house.done(ask())
    assert done.decision.plan == "small"
    assert done.decision.cost == 5 * 1 + 2 * ALLOWED * 10
    assert (
        house.ledger.balance().spent == done.decision.charged == done.decision.cost > done.decision.reserved
    )
    assert house.ledger.balance().breached == done.decision.charged - done.decision.reserved


async def test_its_first_reply_is_its_last(house, ask):
    done = await house.done(ask())
    assert (
        f"backend 's': it gave {2 * ALLOWED} tokens where max_tokens was {ALLOWED}" in done.decision.degraded
    )
    for number in range(5):
        assert (await house.done(ask(request_id=f"q{number}"))).decision.plan == "large"
    assert "in quarantine" in house.allocator.switch.objection("s")
    assert house.ledger.breaches == 1


async def test_a_stage_of_many_samples_ends_with_the_first(build, one, ask):
    house = build({"s": ["4"]}, {"vote": [one("s", max_samples=8)]}, budget=100_000)
    house.allocator.backends["s"] = Twice()
    done = await house.done(ask())
    assert len(done.decision.samples) == 1


async def test_without_another_plan_queries_are_refused_until_an_operator_enables_it(build, one, ask):
    house = build({"s": ["4"]}, {"small": [one("s")]}, budget=100_000)
    obedient, house.allocator.backends["s"] = house.allocator.backends["s"], Twice()
    await house.done(ask())
    with pytest.raises((NoPlan, BackendUnavailable), match="in quarantine"):
        await house.allocator.decide(ask(request_id="q2"), Options())
    house.allocator.backends["s"] = obedient
    house.allocator.switch.set("s", BackendState.ENABLE)
    assert (await house.done(ask(request_id="q3"))).decision.plan == "small"


@pytest.mark.parametrize(("guessed", "taken"), [(True, False), (False, True)])
async def test_a_guess_of_some_tokens_too_many_is_no_breach(build, one, ask, guessed, taken):
    class Pieces(Twice):
        async def sample(self, call, meter) -> AsyncGenerator[Sample, None]:
            meter.add(self.name, Usage(5, tokens_out=ALLOWED + 1, samples=1))
            yield Sample("0.0", self.name, "4", tokens_out=ALLOWED + 1, usage_estimated=guessed)

    house = build({"s": ["4"]}, {"small": [one("s")]}, budget=100_000)
    house.allocator.backends["s"] = Pieces()
    await house.done(ask())
    assert bool(house.allocator.switch.objection("s")) is taken
