"""Samples get their answer class: exactly at once, mathematics by a process that cannot be hung."""

from __future__ import annotations

import asyncio
import sys

import pytest

from predictors.observation import Tally
from router.answering.classes import AnswerClasses, voted
from router.answering.math_equivalence import MathEquivalence

HOSTILE = "9^{9^{9^{9^{9}}}} + (10^{10})!"


@pytest.fixture
async def classes():
    made = AnswerClasses(limit_s=2.0, patience_s=60.0)
    yield made
    await made.close()


async def tally_of(classes: AnswerClasses, answers: list[str | None], kind: str) -> Tally:
    tally = Tally()
    for answer in answers:
        index = None if answer is None else await classes.classify(tally, answer, kind)
        tally = voted(tally, answer, index)
    return tally


async def test_equal_numbers_vote_for_one_class(classes):
    tally = await tally_of(classes, ["12", "12.0", "13", "$12", None], "number")
    assert tally == Tally(counts=(3, 1), answers=("12", "13"), drawn=5)


async def test_equal_formulas_vote_for_one_class(classes):
    tally = await tally_of(classes, ["2x", "x+x", "2x+1"], "math")
    assert tally.counts == (2, 1)


async def test_numbers_never_need_the_process(classes):
    await tally_of(classes, ["1/2", "0.5", "3", "4"], "math")
    assert classes._equivalence.process.worker is None


async def test_answers_that_arrive_together_are_compared_once_the_process_has_started():
    classes = AnswerClasses(limit_s=5.0, patience_s=20.0)
    tally = Tally((1,), ("x + 1",), 1)
    told = await asyncio.gather(
        *(classes.classify(tally, answer, "math") for answer in ("1+x", "x+2", "x+1+0"))
    )
    await classes.close()
    assert told == [0, 1, 0]


async def test_who_waits_too_long_gets_the_exact_match():
    classes = AnswerClasses(limit_s=5.0, patience_s=0.0)
    assert await classes.classify(Tally((1,), ("x + 1",), 1), "1 + x", "math") == 1
    await classes.close()


async def test_the_loop_runs_on_while_a_formula_is_compared(classes):
    tally = await tally_of(classes, ["x + 1"], "math")
    ticks = 0
    comparing = asyncio.create_task(classes.classify(tally, "1 + x + 0", "math"))
    while not comparing.done():
        ticks += 1
        await asyncio.sleep(0)
    assert comparing.result() == 0
    assert ticks > 1


async def test_without_math_verify_the_exact_match_is_what_is_left(monkeypatch, tmp_path):
    (tmp_path / "math_verify.py").write_text("raise ImportError('not installed')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    classes = AnswerClasses()
    assert await classes.start() is False
    tally = await tally_of(classes, ["x+1", "x + 1", "1+x"], "math")
    await classes.close()
    assert tally.counts == (2, 1)


def test_a_hostile_expression_ends_its_process_and_the_next_question_is_answered():
    equivalence = MathEquivalence(limit_s=2.0)
    try:
        assert equivalence.equal("x", HOSTILE) is None
        assert equivalence.killed == 1
        assert equivalence.equal("2x", "x+x") is True
        assert equivalence.equal("2x", "x+x+1") is False
    finally:
        equivalence.close()


def test_a_pair_is_compared_once():
    equivalence = MathEquivalence(limit_s=2.0)
    assert equivalence.equal("2y", "y+y") is True
    equivalence.close()
    assert equivalence.equal("2y", "y+y") is True
    assert equivalence.process.worker is None


def test_a_pair_that_found_no_process_is_compared_when_there_is_one(monkeypatch):
    def refuse(*arguments, **options):
        raise OSError("no memory is left for another process")

    equivalence = MathEquivalence(limit_s=2.0)
    with monkeypatch.context() as patched:
        patched.setattr("subprocess.Popen", refuse)
        assert equivalence.equal("2z", "z+z") is None
    assert equivalence.equal("2z", "z+z") is True
    equivalence.close()


def test_an_expression_that_is_too_long_is_not_compared():
    equivalence = MathEquivalence()
    assert equivalence.equal("x" * 1001, "x") is None
    assert equivalence.process.worker is None


def test_the_worker_dies_with_the_last_reference():
    equivalence = MathEquivalence()
    assert equivalence.start()
    worker = equivalence.process.worker
    del equivalence
    assert worker is not None
    assert worker.poll() is not None


def test_the_worker_imports_nothing_of_ours():
    from router.answering.math_equivalence import WORKER

    lines = [line.split() for line in WORKER.read_text().splitlines()]
    imported = {line[1].partition(".")[0] for line in lines if line and line[0] in {"import", "from"}}
    assert imported <= set(sys.stdlib_module_names) | {"math_verify"}
