"""The same log evaluated by Vowpal Wabbit (`--cb --eval`), an independent program: do its figures agree with ours?

IPS and DR are its own (`--cb_type ips`, `dr`); self-normalised is the ratio of its IPS of the reward and of the
constant 1. Its DR learns another model, online, so that it agrees up to noise; the others up to single precision.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import numpy as np

from training.off_policy.estimate import estimate
from training.off_policy.logged import Floats, Ints, LoggedRows
from training.suites.ope.log import draw_log, explored, one_hot
from training.suites.ope.world import World

ROWS = 5000
COMPARED = ("ips", "snips", "dr")
DIGITS = 9


def installed() -> bool:
    """Whether there is anything to compare with."""
    return importlib.util.find_spec("vowpalwabbit") is not None


def agreement(world: World, epsilon: float, seed: int) -> dict[str, float]:
    """Estimator -> |ours - its| in points on one log of 5,000 rows; empty where it is not installed."""
    if not installed():
        return {}
    rng = np.random.default_rng([seed, 17, round(1000 * epsilon)])
    width = len(world.backends)
    drawn = draw_log(world, explored(one_hot(world.base, width), epsilon), ROWS, rng)
    choice = world.target[drawn.query]
    theirs = by_vowpal_wabbit(drawn.logged, choice)
    target = one_hot(choice, width)
    return {
        name: 100 * abs(estimate(drawn.logged, target, estimator=name).value - theirs[name])
        for name in COMPARED
    }


def by_vowpal_wabbit(logged: LoggedRows, choice: Ints) -> dict[str, float]:
    """Its value of the policy that takes `choice` (n,), by estimator. Needs the package."""
    ips = _evaluated(logged, choice, logged.reward, "ips")
    ones = _evaluated(logged, choice, np.ones(len(logged)), "ips")
    return {
        "ips": ips,
        "snips": ips / ones,
        "dr": _evaluated(logged, choice, logged.reward, "dr"),
    }


def _evaluated(logged: LoggedRows, choice: Ints, outcome: Floats, kind: str) -> float:
    from vowpalwabbit import Workspace

    with Workspace(f"--cb {len(logged.actions)} --eval --cb_type {kind} --quiet") as workspace:
        for line in _lines(logged, choice, outcome):
            workspace.learn(line)
        return float(workspace.get_sum_loss()) / len(logged)


def _lines(logged: LoggedRows, choice: Ints, outcome: Floats) -> Iterator[str]:
    """`evaluated drawn:outcome:propensity | features`, actions counted from 1."""
    scale = logged.features.std(axis=0)
    features = (logged.features - logged.features.mean(axis=0)) / np.where(scale > 1e-9, scale, 1.0)
    rows = zip(choice, logged.action, outcome, logged.propensity, features, strict=True)
    for taken, drawn, cost, chance, seen in rows:
        words = " ".join(f"{place}:{value:.4f}" for place, value in enumerate(seen))
        yield f"{taken + 1} {drawn + 1}:{cost:.{DIGITS}g}:{chance:.{DIGITS}g} | {words}"
