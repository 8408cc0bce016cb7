"""The ledger adds up: against a naive model, under retries, breaches and a clock that jumps."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from router.errors import BudgetExceeded, ConfigError, PluginError
from router.ledger import Balance
from router.ledger.in_process import GRAINS, InProcess

WINDOW_S = 1024.0  # one second is one slice


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def made(limit: int | None = 100, **options) -> tuple[InProcess, Clock]:
    clock = Clock()
    return InProcess(limit, WINDOW_S, clock, **options), clock


def refusal(ledger: InProcess, micros: int) -> BudgetExceeded:
    with pytest.raises(BudgetExceeded) as caught:
        ledger.reserve("refused", micros)
    return caught.value


class AgainstTheModel(RuleBasedStateMachine):
    """Every entry kept for ever and summed anew at every look, as no ledger could afford."""

    def __init__(self):
        super().__init__()
        self.ledger, self.clock = made(1000)
        self.open = {}
        self.charged = []
        self.seen = 0

    def spent(self) -> int:
        def left_at(when: float) -> float:
            return (when // 1.0 + 1) * 1.0 + WINDOW_S

        return sum(micros for when, micros in self.charged if left_at(when) > self.clock.now)

    def reserved(self) -> int:
        return sum(held.micros for held in self.open.values())

    @rule(micros=st.integers(0, 600))
    def reserve(self, micros):
        self.seen += 1
        name = f"r{self.seen}"
        fits = self.spent() + self.reserved() + micros <= 1000
        try:
            self.open[name] = self.ledger.reserve(name, micros)
        except BudgetExceeded:
            assert not fits
        else:
            assert fits

    @precondition(lambda self: self.open)
    @rule(share=st.floats(0, 1.3), pick=st.randoms(use_true_random=False))
    def settle_twice(self, share, pick):
        name = pick.choice(sorted(self.open))
        held = self.open.pop(name)
        used = int(held.micros * share)
        self.ledger.settle(held, used)
        self.ledger.settle(held, used + 7)
        self.charged.append((self.clock.now, used))

    @precondition(lambda self: self.open)
    @rule(micros=st.integers(0, 600))
    def reserve_again(self, micros):
        name = min(self.open)
        assert self.ledger.reserve(name, micros) is self.open[name]

    @rule(seconds=st.floats(0, 700))
    def wait(self, seconds):
        self.clock.now += seconds

    @invariant()
    def it_adds_up(self):
        assert self.ledger.balance() == Balance(1000, self.spent(), self.reserved())


TestAgainstTheModel = AgainstTheModel.TestCase
TestAgainstTheModel.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)


def test_what_was_not_used_goes_back():
    ledger, _ = made()
    ledger.settle(ledger.reserve("a", 80), 30)
    assert ledger.balance() == Balance(100, 30, 0)
    assert ledger.balance().left == 70


def test_reserving_again_after_the_settlement_sets_nothing_aside():
    ledger, _ = made()
    first = ledger.reserve("a", 80)
    ledger.settle(first, 30)
    assert ledger.reserve("a", 80) is first
    assert ledger.balance() == Balance(100, 30, 0)


def test_more_than_was_reserved_is_charged_and_counted():
    ledger, _ = made()
    ledger.settle(ledger.reserve("a", 10), 130)
    assert ledger.balance() == Balance(100, 130, 0)
    assert (ledger.breaches, ledger.breached_micros) == (1, 120)
    assert refusal(ledger, 1).reason == "BUDGET"


def test_the_refusal_says_when_enough_has_left_the_window():
    ledger, clock = made()
    ledger.settle(ledger.reserve("a", 60), 60)
    clock.now = 500.5
    ledger.settle(ledger.reserve("b", 40), 40)
    clock.now = 600.0
    after_a, after_b = refusal(ledger, 60).retry_after_s, refusal(ledger, 61).retry_after_s
    assert (after_a, after_b) == (1025.0 - 600, 501.0 + 1024 - 600)
    clock.now = 1025.0
    assert ledger.reserve("c", 60).micros == 60


def test_an_amount_above_the_whole_budget_never_fits():
    ledger, _ = made()
    error = refusal(ledger, 101)
    assert error.retry_after_s is None
    assert "may cost 101 micro-dollars, 100 of 100 are left" in str(error)


def test_where_only_reservations_stand_in_the_way_a_retry_is_soon():
    ledger, _ = made()
    ledger.reserve("a", 100)
    assert refusal(ledger, 1).retry_after_s == 1.0


def test_without_a_limit_nothing_is_refused_and_everything_counted():
    ledger, _ = made(None)
    ledger.settle(ledger.reserve("a", 10**15), 10**15)
    assert ledger.balance() == Balance(None, 10**15, 0)
    assert ledger.balance().left is None


def test_a_lower_limit_refuses_and_a_higher_one_allows():
    ledger, _ = made()
    ledger.settle(ledger.reserve("a", 60), 60)
    ledger.set_limit(50)
    refusal(ledger, 1)
    ledger.set_limit(200)
    assert ledger.reserve("b", 140).micros == 140


@pytest.mark.parametrize("amount", [-1, 1.5, True, float("nan"), "3"])
def test_an_amount_that_is_none_is_refused_and_changes_nothing(amount):
    ledger, _ = made()
    held = ledger.reserve("a", 10)
    with pytest.raises(PluginError, match="whole micro-dollars >= 0"):
        ledger.reserve("b", amount)
    with pytest.raises(PluginError, match="'a'"):
        ledger.settle(held, amount)
    assert ledger.balance() == Balance(100, 0, 10)


@pytest.mark.parametrize(
    ("limit", "window_s"), [(-1, 60.0), (1.5, 60.0), (1, 0.0), (1, -1.0), (1, float("nan"))]
)
def test_a_budget_that_is_none_is_refused(limit, window_s):
    with pytest.raises(ConfigError, match="must be"):
        InProcess(limit, window_s, Clock())


def test_a_clock_that_goes_back_gives_nothing_back():
    ledger, clock = made()
    clock.now = 2000.0
    ledger.settle(ledger.reserve("a", 60), 60)
    clock.now = 0.0
    assert ledger.balance().spent == 60


def test_memory_is_bounded_by_slices_and_remembered_ids():
    ledger, clock = made(None, remember_s=50.0, remember_most=1000)
    for number in range(20_000):
        clock.now = number * 0.2
        ledger.settle(ledger.reserve(f"r{number}", 5), 5)
    assert len(ledger._slices) <= GRAINS + 2
    assert len(ledger._settled) <= 251
    assert ledger._open == {}
    clock.now += 2 * WINDOW_S
    assert ledger.balance().spent == 0
    assert len(ledger._slices) == len(ledger._settled) == 0


def test_remembered_ids_are_bounded_in_number_too():
    ledger, _ = made(None, remember_most=10)
    for number in range(100):
        ledger.settle(ledger.reserve(f"r{number}", 1), 1)
    assert len(ledger._settled) <= 11
