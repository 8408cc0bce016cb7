"""Which share is refused: none where no queue stands, as many as are too many where one does, soon none again."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest

from router.admission.admission import Admission
from router.admission.shedding import LOOKS, MOST, TARGET_S, Shedding
from router.errors import Overloaded

PER_S = 500.0  # calls that can be worked off
REFUSAL = 0.25  # of a call's work
LOOK_S = 0.1


class Line:
    """Calls come by chance and are taken in turn; time is ours."""

    def __init__(self, seed: int) -> None:
        self.shedding, self.waiting = Shedding(), deque[float]()
        self.rng, self.now_s, self.credit = np.random.default_rng(seed), 0.0, 0.0
        self.answered: list[float] = []  # what each waited
        self.refused, self.waits = 0, list[float]()

    def run(self, load: float, seconds: float) -> Line:
        """`load` times as many as can be worked off."""
        self.answered, self.refused, self.waits = [], 0, []
        for _ in range(int(seconds / LOOK_S)):
            for _ in range(20):
                self._step(load, LOOK_S / 20)
            self.waits.append(self.now_s - self.waiting[0] if self.waiting else 0.0)
            self.shedding.seen(self.waits[-1])
        return self

    def _step(self, load: float, step_s: float) -> None:
        self.now_s += step_s
        self.waiting.extend([self.now_s] * int(self.rng.poisson(load * PER_S * step_s)))
        self.credit = self.credit + PER_S * step_s if self.waiting else 0.0
        while self.waiting and self.credit > 0:
            came_s = self.waiting.popleft()
            if self.shedding.next_is_refused():
                self.shedding.refused()
                self.refused += 1
                self.credit -= REFUSAL
            else:
                self.answered.append(self.now_s - came_s)
                self.credit -= 1.0


@pytest.mark.parametrize("seed", range(3))
def test_nobody_is_refused_where_all_can_be_worked_off(seed):
    assert Line(seed).run(0.9, 60).refused == 0


@pytest.mark.parametrize(("load", "seed"), [(1.2, 0), (1.5, 1), (2.0, 2), (3.0, 3)])
def test_where_more_come_the_wait_stays_near_its_target_and_hardly_any_work_is_lost(load, seed):
    line = Line(seed)
    line.run(load, 15)  # until it has settled
    line.run(load, 30)
    most = (1 - REFUSAL * load) / (1 - REFUSAL) * PER_S * 30  # the others' refusals are work, too
    assert len(line.answered) >= 0.9 * most
    assert np.median(line.waits) == pytest.approx(TARGET_S, abs=0.4)
    assert max(line.waits) < 2.5 * TARGET_S


def test_when_fewer_come_again_refusing_ends_within_seconds():
    line = Line(4)
    line.run(2.0, 20)
    line.run(0.5, 6)
    assert line.run(0.5, 20).refused == 0
    assert line.shedding.share == 0.0


def test_a_burst_of_a_second_of_work_is_worked_off():
    line = Line(5)
    line.waiting.extend([0.0] * int(0.45 * PER_S))
    assert line.run(0.5, 10).refused == 0


def test_a_process_that_is_stopped_now_and_then_refuses_nobody():
    shedding = Shedding()
    for look in range(200):
        shedding.seen(3.0 if look % LOOKS else 0.0)
        assert not shedding.next_is_refused()


@pytest.mark.parametrize("share", [0.1, 0.25, 0.9])
def test_so_many_of_a_hundred_are_refused(share):
    shedding, refused = Shedding(), 0
    shedding.share = share
    for _ in range(1000):
        if shedding.next_is_refused():
            shedding.refused()
            refused += 1
    assert refused == pytest.approx(1000 * share, abs=2)


def test_some_always_come_in():
    shedding = Shedding()
    for look in range(1000):
        shedding.seen(float(look))
    assert shedding.share == MOST


def test_a_query_is_refused_with_a_delay_before_work_and_urgent_ones_and_reports_are_not():
    admission = Admission(100)
    admission.shedding.share = 1.0
    with pytest.raises(Overloaded, match="more queries come than can be worked off") as refused:
        admission.enter(query=True).__enter__()
    assert refused.value.retry_after_s > 0
    for _ in range(3):
        with admission.enter(query=True, urgent=lambda: True), admission.enter(query=False):
            pass
    with pytest.raises(Overloaded):
        admission.enter(query=True).__enter__()
    assert (admission.came, admission.shed, admission.queries) == (5, 2, 0)
