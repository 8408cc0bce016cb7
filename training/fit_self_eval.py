"""Calibrate what a model says of its own samples: the options `slope` and `shift` of the stopping rule `self_eval`.

Logistic regression of "this sample is right" on the log-odds of P(No) (Platt 1999), with his targets, which keep a
separable handful from infinite slopes. A sample that is right need not be done again; one that is wrong might come out
right, so that "not better" is at least as frequent as "right": the calibrated number errs towards going on.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

from predictors.calibration import brier_skill
from router.stopping.self_eval import EDGE, SIGNAL, SelfEval
from training.errors import NotEnoughData
from training.log.read import DecisionLog

Floats = NDArray[np.float64]
LEAST = 50  # graded samples, of either outcome ten
ROUNDS = 50
LEAST_SLOPE = 0.01  # where saying No means nothing, or the contrary


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The rule with what was fitted, and what that is worth on the samples it was fitted to."""

    rule: SelfEval
    samples: int
    brier_skill: float  # over always saying the base rate; at most 0: the question tells nothing

    @property
    def toml(self) -> str:
        """As a stage's `stop`."""
        rule = self.rule
        return (
            f'stop = {{ kind = "self_eval", threshold = {rule.threshold:g}, slope = {rule.slope:.4g}, '
            f"shift = {rule.shift:.4g} }}"
        )


def heard_in(log: DecisionLog, reward: Floats) -> tuple[Floats, Floats]:
    """(P(No), whether it was right) of the logged samples whose answer was given; `reward` (n,), NaN: unknown.

    `log` was read with signals, samples and answer.
    """
    chances, rights = [], []
    signals, samples, answers = log.named("signals"), log.column("samples").to_pylist(), log.texts("answer")
    for name in (one for one in signals.names if one.startswith(f"{SIGNAL}/")):
        heard = signals.column(name)
        for place in np.flatnonzero(np.isfinite(heard) & np.isfinite(reward)).tolist():
            own = (one for one in samples[place] or () if one["sample_id"] == name.removeprefix(f"{SIGNAL}/"))
            if any(one["answer"] is not None and one["answer"] == answers[place] for one in own):
                chances.append(heard[place])
                rights.append(float(reward[place] >= 0.5))
    return np.array(chances), np.array(rights)


def fit_self_eval(chance: Floats, right: Floats, threshold: float = SelfEval().threshold) -> Calibrated:
    """`chance` (n,): P(No) of each sample; `right` (n,) 0 or 1. Raises `NotEnoughData`."""
    count = (len(right), int(right.sum()), int((1 - right).sum()))
    if count[0] < LEAST or min(count[1:]) < 10:
        raise NotEnoughData(
            f"self_eval wants {LEAST} graded samples, ten of them right and ten wrong; there are {count[0]}, "
            f"{count[1]} right and {count[2]} wrong"
        )
    kept = np.clip(chance, EDGE, 1 - EDGE)
    odds = np.log(kept / (1 - kept))
    high, low = (count[1] + 1) / (count[1] + 2), 1 / (count[2] + 2)
    target = np.where(right > 0, high, low)
    slope, shift = 0.0, 0.0
    for _ in range(ROUNDS):
        p = 1 / (1 + np.exp(-(shift + slope * odds)))
        weight = np.maximum(p * (1 - p), 1e-6)
        design = np.stack([odds, np.ones(len(odds))])
        step = np.linalg.solve((design * weight) @ design.T + 1e-9 * np.eye(2), design @ (target - p))
        slope, shift = slope + float(step[0]), shift + float(step[1])
        if np.abs(step).max() < 1e-10:
            break
    if slope < LEAST_SLOPE:  # the base rate, whatever is said
        slope, shift = LEAST_SLOPE, log(count[1] / count[2]) - LEAST_SLOPE * float(odds.mean())
    rule = SelfEval(threshold, slope, shift)
    told = np.array([rule.calibrated(value) for value in chance.tolist()])
    return Calibrated(rule, count[0], brier_skill(told, right))
