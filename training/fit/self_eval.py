"""Calibrate what a model says of its own samples, for the stopping rule `self_eval`: its slope and its shift.

Logistic regression of "this sample is right" on the log-odds of P(No) (Platt 1999), with his targets, which keep a
separable handful from infinite slopes. A sample that is right need not be done again; one that is wrong might come out
right, so that "not better" is at least as frequent as "right": the calibrated number errs towards going on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log as ln

import numpy as np
from numpy.typing import NDArray

from predictors.calibration import brier_skill
from router.domain.plan import Plan
from router.learned_plans.learned_rules import rules_within
from router.stopping.self_eval import EDGE, SIGNAL, SelfEval
from training.errors import NotEnoughData
from training.log.read import DecisionLog

Floats = NDArray[np.float64]
LEAST = 50  # graded samples, of either outcome ten
ROUNDS = 50
LEAST_SLOPE = 0.01  # where saying No means nothing, or the contrary


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What was fitted, and what that is worth on the samples it was fitted to."""

    slope: float  # > 0
    shift: float
    samples: int
    brier_skill: float  # over always saying the base rate; at most 0: the question tells nothing


def heard_in(
    log: DecisionLog, reward: Floats, plans: Mapping[str, Plan]
) -> dict[tuple[str, str], tuple[Floats, Floats]]:
    """(backend, question) -> (P(No), whether it was right) of the logged samples whose answer was given.

    `log` was read with plan, signals, samples and answer; `reward` (n,), NaN: unknown. A question is what the plan of
    the same name asks today: where its words were changed, what was heard before is taken for the new ones'.
    """
    words = {
        (name, at): next(one.words for one in rules_within(stage.stop) if isinstance(one, SelfEval))
        for name, plan in plans.items()
        for at, stage in enumerate(plan.stages)
        if any(isinstance(one, SelfEval) for one in rules_within(stage.stop))
    }
    asking = {name for name, _ in words}
    log_plans = log.texts("plan")
    kept = np.array([name in asking for name in log_plans], dtype=np.bool_) & np.isfinite(reward)
    log, reward = log.taken(kept), reward[kept]
    found: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
    names, answers = log.texts("plan"), log.texts("answer")
    signals, samples = log.named("signals"), log.column("samples").to_pylist()
    for name in (one for one in signals.names if one.startswith(f"{SIGNAL}/")):
        heard = signals.column(name)
        for place in np.flatnonzero(np.isfinite(heard)).tolist():
            own = (one for one in samples[place] or () if one["sample_id"] == name.removeprefix(f"{SIGNAL}/"))
            for one in own:
                asked = words.get((names[place] or "", one["stage"]))
                if asked is not None and one["answer"] is not None and one["answer"] == answers[place]:
                    chances, rights = found.setdefault((one["backend"], asked), ([], []))
                    chances.append(float(heard[place]))
                    rights.append(float(reward[place] >= 0.5))
                    break
    return {key: (np.array(chances), np.array(rights)) for key, (chances, rights) in found.items()}


def fit_self_eval(chance: Floats, right: Floats) -> Calibrated:
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
        slope, shift = LEAST_SLOPE, ln(count[1] / count[2]) - LEAST_SLOPE * float(odds.mean())
    told = 1 / (1 + np.exp(-(shift + slope * odds)))
    return Calibrated(slope, shift, count[0], brier_skill(told, right))
