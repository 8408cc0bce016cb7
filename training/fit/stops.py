"""Fit what a configuration's plans leave open to the bundle: votes' weights from recordings, calibrations from the log.

A recording says what every sample of a query would have been worth, so that whole runs can be stopped anywhere
(`learned_stop`); a log knows what models said of their samples and how the answers did (`self_eval`). Neither has what
the other needs: a logged query stopped where it stopped, and no recording asked for P(No).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from predictors.bundle import Bundle
from predictors.learned_stops import LearnedStops, SelfEvalCurve, VoteStop
from router.domain.plan import Plan, Stage
from router.learned_plans.learned_rules import open_rule, rules_within
from router.recording import Recording
from router.stopping.learned_stop import LearnedStop
from router.stopping.self_eval import SelfEval
from training.errors import NotEnoughData
from training.fit.heads import Fitted
from training.fit.learned_stop import guarded_stop
from training.fit.self_eval import fit_self_eval, heard_in
from training.log.read import DecisionLog
from training.sampling.expected import Expected
from training.sampling.known import Known
from training.sampling.problem import LEAST_SAMPLES, Problem, problem_of
from training.sampling.runs import runs_of

Floats = NDArray[np.float64]
MOST_RUNS = 20_000  # of one stage: queries times orders of their samples
ORDERS = 50
DECIMALS = 2  # of a calibration: what changes less is no new action


def with_learned_stops(
    fitted: Fitted,
    bundle: Bundle,
    recordings: Sequence[Recording],
    plans: Mapping[str, Plan],
    recorded_as: Mapping[str, str],
    seed: int,
) -> Bundle:
    """The bundle with weights for every stage that asks for some and was recorded with as many samples.

    Of several recordings the first with enough queries counts. What held-out queries said stands on the card: mean
    samples and points lost of the rule and of `value_of_next`; the weights are in the bundle only where they won.
    """
    found, metrics = [], dict[str, float]()
    wanted = sorted(
        {(stage.backend, stage.max_samples) for stage, rule in _open(plans) if isinstance(rule, LearnedStop)}
    )
    for backend, most in wanted:
        known = _known(fitted, recordings, backend, recorded_as.get(backend, backend), most, seed)
        if known is None:
            continue
        try:
            rule, said = guarded_stop(known)
        except NotEnoughData:
            continue
        for name, samples, loss in zip(
            ("learned_stop", "value_of_next"), said.samples, said.loss, strict=True
        ):
            metrics[f"samples/{name}/{backend}@{most}"] = samples
            metrics[f"points_lost/{name}/{backend}@{most}"] = loss
        if rule.weights:
            found.append(VoteStop(backend, most, rule.weights, rule.pays))
    return _with(bundle, replace(bundle.deciding.stops, votes=tuple(found)), metrics)


def with_self_evals(bundle: Bundle, log: DecisionLog, reward: Floats, plans: Mapping[str, Plan]) -> Bundle:
    """The bundle with a calibration for every question that plans ask and leave open; `reward` (n,), NaN: unknown.

    The log was read with `columns_for(plans)`. Too few graded samples: no calibration.
    """
    found, metrics = [], dict[str, float]()
    if columns_for(plans):
        for (backend, words), (chance, right) in sorted(heard_in(log, reward, plans).items()):
            try:
                one = fit_self_eval(chance, right)
            except NotEnoughData:
                continue
            slope, shift = max(10.0**-DECIMALS, round(one.slope, DECIMALS)), round(one.shift, DECIMALS)
            found.append(SelfEvalCurve(backend, words, slope, shift))
            metrics[f"brier_skill/self_eval/{backend}"] = one.brier_skill
            metrics[f"graded_samples/self_eval/{backend}"] = float(one.samples)
    return _with(bundle, replace(bundle.deciding.stops, asked=tuple(found)), metrics)


def columns_for(plans: Mapping[str, Plan]) -> tuple[str, ...]:
    """Columns of the log that these plans' rules are fitted from, beside those of every fit."""
    return ("signals",) if any(isinstance(rule, SelfEval) for _, rule in _open(plans)) else ()


def kept_from(before: Bundle, bundle: Bundle) -> Bundle:
    """The bundle with what a log cannot teach: votes' weights and exits from traces of the one before it, by backend.

    Only while the world is the one that they were learned in: who calls this knows.
    """
    here = bundle.card.backends
    stops, exits = bundle.deciding.stops, bundle.deciding.exits
    votes = stops.votes or tuple(one for one in before.deciding.stops.votes if one.backend in here)
    exits = exits or tuple(one for one in before.deciding.exits if one.backend in here)
    deciding = replace(bundle.deciding, stops=replace(stops, votes=votes), exits=exits)
    return replace(bundle, deciding=deciding)


def _with(bundle: Bundle, stops: LearnedStops, metrics: Mapping[str, float]) -> Bundle:
    card = replace(bundle.card, metrics=dict(bundle.card.metrics) | dict(metrics))
    return replace(bundle, card=card, deciding=replace(bundle.deciding, stops=stops))


def _open(plans: Mapping[str, Plan]) -> Iterator[tuple[Stage, object]]:
    """Stages and the rules in them that a bundle may fill."""
    for plan in plans.values():
        for stage in plan.stages:
            yield from ((stage, rule) for rule in rules_within(stage.stop) if open_rule(rule))


def _known(
    fitted: Fitted, recordings: Sequence[Recording], backend: str, source: str, most: int, seed: int
) -> Known | None:
    """Runs of the fit's own queries, with what was expected of each while it was held out."""
    if most < LEAST_SAMPLES or backend not in fitted.rows.backends:
        return None
    column = fitted.rows.backends.index(backend)
    for number, recording in enumerate(recordings):
        if source not in recording.backends:
            continue
        rows = {query: row for row, (where, query) in enumerate(fitted.rows.ids) if where == number}
        among = np.array([query.query_id in rows for query in recording.queries], np.bool_)
        problem = problem_of(recording, source, seed, most=most, among=among)
        if problem is not None:
            own = [rows[recording.queries[place].query_id] for place in problem.queries]
            right = fitted.query.held_out[own, column]
            both = right * right + float(fitted.bundle.rho[column]) * (right - right * right)
            return _at_most(problem, Expected(right, both), seed)
    return None


def _at_most(problem: Problem, expected: Expected, seed: int) -> Known:
    """Not more runs than weights need: of many queries some, of few every one in many orders."""
    count = len(problem.queries)
    some = np.sort(np.random.default_rng(seed).permutation(count)[: MOST_RUNS // 10])
    kept = replace(problem, queries=problem.queries[some], rows=problem.rows[some], have=problem.have[some])
    mine = Expected(expected.right[some], expected.both[some])
    orders = max(2, min(ORDERS, MOST_RUNS // len(some)))
    return Known.of(runs_of(kept, orders), lambda split: mine)
