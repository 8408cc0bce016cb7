"""How much of a log speaks about a policy: importance weights, their effective number, and what is not supported."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.off_policy.logged import Floats, LoggedRows, unsupported


def importance(logged: LoggedRows, target: Floats) -> Floats:
    """w = pi(a|x) / p(a|x) of the drawn actions, shape (n,). Of a difference of policies: of either sign."""
    return np.asarray(target[np.arange(len(logged)), logged.action] / logged.propensity)


@dataclass(frozen=True, slots=True)
class WeightDiagnostics:
    """What the weights of a policy, or of a difference of two, look like."""

    rows: int
    effective_rows: float  # (sum |w|)^2 / sum w^2 (Kish 1965)
    useful_rows: float  # see `useful_rows`
    largest: float  # |w|
    mean: float  # of a policy 1 but for chance, where all that it does is supported
    off_plan: float  # share of rows whose drawn action the policy would not take: they enter through the model alone
    unsupported: float  # mean probability on actions without a chance in the log: the model's word alone


def weigh(logged: LoggedRows, target: Floats) -> WeightDiagnostics:
    """Of a policy's probabilities (n, A), or of the difference of two."""
    if not len(logged):
        return WeightDiagnostics(0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    weight = importance(logged, target)
    size = np.abs(weight)
    squares = float((weight**2).sum())
    return WeightDiagnostics(
        rows=len(logged),
        effective_rows=float(size.sum()) ** 2 / squares if squares > 0 else 0.0,
        useful_rows=useful_rows(logged.probabilities, target),
        largest=float(size.max()),
        mean=float(weight.mean()),
        off_plan=float((weight == 0).mean()),
        unsupported=float(np.abs(unsupported(logged, target)).mean()),
    )


def useful_rows(chance: Floats, target: Floats) -> float:
    """How many rows carry the error of the estimate: E[sum w^2]^2 / E[sum w^4] over the draws, given the features.

    `chance` (n, A): the logging policy; `target` (n, A). Expected, so that it does not depend on the luck of the draws:
    with exploration epsilon over A plans and a policy that leaves what was usual for m rows it is about m epsilon / A,
    however many rows there are besides.
    """
    ratio = np.divide(target, chance, out=np.zeros_like(chance), where=chance > 0)
    second = float((chance * ratio**2).sum())
    fourth = float((chance * ratio**4).sum())
    return second**2 / fourth if fourth > 0 else 0.0
