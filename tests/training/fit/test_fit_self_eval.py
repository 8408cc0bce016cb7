"""The calibration of `self_eval` finds the truth that made the samples."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from router.domain.plan import Plan, Stage
from router.selectors.first import First
from router.stopping.never import Never
from router.stopping.not_before import NotBefore
from router.stopping.self_eval import SelfEval
from training.errors import NotEnoughData
from training.fit.self_eval import Calibrated, fit_self_eval, heard_in
from training.log.read import DecisionLog


def made(slope: float, shift: float, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    odds = rng.normal(0.5, 2.0, count)
    right = rng.random(count) < 1 / (1 + np.exp(-(shift + slope * odds)))
    return 1 / (1 + np.exp(-odds)), right.astype(float)


def rule_of(found: Calibrated) -> SelfEval:
    return SelfEval().resolved(found.slope, found.shift)


def test_slope_and_shift_are_those_that_made_the_samples() -> None:
    found = fit_self_eval(*made(0.6, -0.8, 20_000))
    assert abs(found.slope - 0.6) < 0.05 and abs(found.shift + 0.8) < 0.05
    assert found.brier_skill > 0.1


def test_a_model_that_says_no_to_anything_is_told_by_its_base_rate() -> None:
    chance, right = np.full(200, 0.97), np.repeat([1.0, 0.0], [60, 140])
    found = fit_self_eval(chance, right)
    assert rule_of(found).calibrated(0.97) == pytest.approx(0.3, abs=0.02)
    assert found.brier_skill == pytest.approx(0.0, abs=0.01)


def test_a_model_that_says_the_contrary_is_never_believed() -> None:
    chance, right = made(-1.0, 0.0, 2000)
    rule = rule_of(fit_self_eval(chance, right))
    assert abs(rule.calibrated(0.99) - rule.calibrated(0.01)) < 0.05


def test_a_handful_that_can_be_told_apart_gives_no_infinite_slope() -> None:
    chance = np.repeat([0.9, 0.1], 30)
    rule = rule_of(fit_self_eval(chance, np.repeat([1.0, 0.0], 30)))
    assert rule.slope is not None and 0.5 < rule.slope < 5
    assert 0.9 < rule.calibrated(0.9) < 1


def test_too_few_samples_are_refused_with_their_numbers() -> None:
    with pytest.raises(NotEnoughData, match="60, 55 right and 5 wrong"):
        fit_self_eval(np.full(60, 0.5), np.repeat([1.0, 0.0], [55, 5]))


def test_of_a_log_the_samples_count_whose_answer_was_given_and_graded() -> None:
    def sample(number: int, answer: str | None) -> dict[str, str | int | None]:
        return {"sample_id": f"0.{number}", "stage": 0, "backend": "small", "answer": answer}

    drawn = [[sample(0, "4"), sample(1, "5")], [sample(0, "7")], [sample(0, None)], [sample(0, "9")]]
    drawn += [[sample(0, "7")]]
    heard = [{"self_eval/0.0": 0.2, "self_eval/0.1": 0.9, "price": 1.0}, {"self_eval/0.0": 0.6}]
    heard += [{"self_eval/0.0": 0.5}, {"self_eval/0.0": 0.4}, {"self_eval/0.0": 0.3}]
    names = [
        ("sample_id", pa.string()),
        ("stage", pa.int32()),
        ("backend", pa.string()),
        ("answer", pa.string()),
    ]
    struct = pa.struct(names)
    table = pa.table(
        {
            "signals": pa.array([list(one.items()) for one in heard], pa.map_(pa.string(), pa.float64())),
            "samples": pa.array(drawn, pa.list_(struct)),
            "answer": ["5", "7", None, "9", "7"],
            "plan": ["asks", "asks", "asks", "asks", "does not"],
        }
    )
    none = np.zeros(0, np.int64)
    log = DecisionLog(table, None, none, none, 0, 0, 0.0)
    plans = {
        "asks": Plan(
            "asks", (Stage("small", NotBefore(SelfEval(words="Sure?"), 2), First(), max_samples=2),)
        ),
        "does not": Plan("does not", (Stage("small", Never(), First()),)),
    }
    found = heard_in(log, np.array([1.0, 0.0, 1.0, np.nan, 1.0]), plans)
    assert list(found) == [("small", "Sure?")]
    assert sorted(zip(*(one.tolist() for one in found["small", "Sure?"]), strict=True)) == [
        (0.6, 0.0),
        (0.9, 1.0),
    ]
