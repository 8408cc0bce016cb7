"""May the candidate take over? Only if its gain is proved on the log, and nothing else is harmed.

value    v = reward - price * cost at the logged price, candidate minus incumbent, paired on the same rows by
         cross-fitted doubly robust scores; for what the candidate would do that was never drawn a doubt is taken off
bound    the lower bound of the gain, at the level that `AlphaSpending` gives this test, must be above the margin
guards   see `guards`
nulls    the same test on shuffled outcomes must not pass more often than its level says

The rows must not be those that the candidate was fitted on: doubly robust estimates are then too good, and nothing in
the rows shows it. When it fails: a world that is about to change (drift is watched elsewhere), and outcomes that are
missing for being bad.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from training.off_policy.alpha_spending import AlphaSpending
from training.off_policy.estimate import Estimate, from_scores, refusal
from training.off_policy.guards import Besides, Guarded, Limits, Pair, guards
from training.off_policy.logged import Floats, LoggedRows, checked_policy, unsupported
from training.off_policy.null_tests import NullTest, null_test
from training.off_policy.weights import weigh


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked of a candidate."""

    margin: float = 0.0  # value (reward in [0, 1]) per query that a change must be worth
    doubt: float = 0.1  # value taken off per unit of probability on what was never drawn
    limits: Limits = field(default_factory=Limits)
    shuffles: int = 20  # null tests


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether to promote, and everything that it rests on."""

    promote: bool
    reasons: tuple[str, ...]  # why not; empty where it is promoted
    gain: Estimate  # predicted value per query, candidate minus incumbent, with its two-sided 95 % interval
    lower: float  # bound of the gain at `level`, after doubt; minus infinity where nothing was tested
    level: float  # one-sided error of this test
    margin: float
    tested: bool  # False: refused before any outcome was looked at
    guards: tuple[Guarded, ...]
    null: NullTest | None
    spending: AlphaSpending  # to be kept for the next test

    def to_json(self) -> dict[str, Any]:
        """As JSON types, with null for what is infinite or no number."""
        found: dict[str, Any] = _plain(asdict(self))
        return found


def gate(
    logged: LoggedRows,
    candidate: Floats,
    incumbent: Floats,
    *,
    spending: AlphaSpending,
    terms: Terms | None = None,
    price: Floats | float = 0.0,
    besides: Besides | None = None,
    seed: int = 0,
) -> Verdict:
    """Test one candidate. `candidate`, `incumbent` (n, A); `price` quality per dollar, of each row (n,) or of all.

    Equal arguments give equal verdicts. Raises `TrainingError` for probabilities that are none.
    """
    terms, besides = terms or Terms(), besides or Besides()
    candidate = checked_policy(logged, candidate, "candidate")
    incumbent = checked_policy(logged, incumbent, "incumbent")
    weights = weigh(logged, candidate - incumbent)
    why = "it does what the incumbent does" if np.array_equal(candidate, incumbent) else refusal(weights)
    if why:
        nothing = from_scores(logged, np.zeros(len(logged)), weights)
        return Verdict(
            False, (why,), nothing, -np.inf, spending.level, terms.margin, False, (), None, spending
        )
    pair = Pair(logged, candidate, incumbent)
    value = np.asarray(logged.reward - price * logged.cost)
    mine, theirs = pair.scores(value)
    gain = from_scores(logged, mine - theirs, weights)
    doubt = terms.doubt * float(unsupported(logged, candidate).mean())
    lower = gain.interval.lower(spending.level) - doubt
    guarded: tuple[Guarded, ...] = ()
    null = None
    reasons = []
    if not lower > terms.margin:
        reasons.append(f"gain {gain.value:+.4f}, proved only {lower:+.4f}; the margin is {terms.margin:g}")
    else:  # the rest is only asked of what would be promoted otherwise
        guarded = guards(pair, mine - theirs, terms.limits, besides)
        reasons += [f"{one.name}: {one.said}" for one in guarded if not one.passed]
        null = null_test(
            logged,
            candidate,
            incumbent,
            value,
            margin=terms.margin,
            level=spending.level,
            rng=np.random.default_rng(seed),
            shuffles=terms.shuffles,
        )
        if null.failed:
            reasons.append(
                f"null test: {null.passed} of {null.shuffles} shuffled outcomes pass ({null.allowed} may)"
            )
    promote = not reasons
    return Verdict(
        promote,
        tuple(reasons),
        gain,
        lower,
        spending.level,
        terms.margin,
        True,
        guarded,
        null,
        spending.tested(promote),
    )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value
