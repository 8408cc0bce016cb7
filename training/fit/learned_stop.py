"""Fit the stopping rule `learned_stop` to recorded runs, with its guard.

Half of the queries teach the weights and tune the least gain that pays, the other half says what that draws and loses
beside `value_of_next` tuned on the same half; then the halves change places. Only where it draws fewer samples beyond
chance, and loses no more than wanted or than the other does, is it taken: fitted once more, to all of them.
`apportion fit` does it for the plans of a configuration; `python -m training.fit.learned_stop` prints it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from router.recording import Recording
from router.stopping.learned_stop import FEATURES, LearnedStop, vote_features
from router.stopping.value_of_next import log_odds
from training.errors import NotEnoughData
from training.sampling.by_expectation import by_expectation
from training.sampling.candidates import Candidates
from training.sampling.expected import learner
from training.sampling.known import Known
from training.sampling.problem import LEAST_SAMPLES, SPLITS, problems_of
from training.sampling.runs import Runs, runs_of
from training.sampling.split import Split
from training.sampling.worth import first_true

Floats = NDArray[np.float64]
POINTS = 0.5  # that may be lost
LEASTS = (
    0.0,
    0.0005,
    0.001,
    0.002,
    0.003,
    0.004,
    0.006,
    0.008,
    0.01,
    0.013,
    0.016,
    0.02,
    0.025,
    0.03,
    0.04,
    0.06,
)
RIDGE = 10.0  # rows
SURE = 1.645  # standard errors by which it must draw fewer: 5 % by chance
VOTES_ALONE = (0, 1, 2, 3, 4, 5, 8)  # features that a state has whatever the query; the others need P(right)
ODDS, ODDS_SHARE, SHARE = FEATURES.index("odds"), FEATURES.index("odds_share"), FEATURES.index("share")


@dataclass(frozen=True, slots=True)
class Guarded:
    """What held-out queries say, and the settings to be taken: the learned ones, or those of `value_of_next`."""

    better: bool
    samples: tuple[float, float]  # mean drawn: learned, `value_of_next`
    loss: tuple[float, float]  # points
    candidates: Candidates = field(compare=False)
    weights: tuple[float, ...] = ()  # () where it is no better


def guarded(
    runs: Runs, table: Floats, right: Floats, theirs: Candidates, tuning: NDArray[np.bool_], points: float
) -> Guarded:
    """Looks at `tuning` only. `table`: `states` of the runs, which are the same for every half.

    `right` (n,): P(a sample is right), held out; `theirs`: what `value_of_next` offers.
    """
    places = np.flatnonzero(tuning)
    halves = [np.isin(np.arange(len(tuning)), places[part::2]) for part in range(2)]
    drawn, lost = [], []
    for mine, other in (halves, halves[::-1]):
        learned = offered(runs, right, fitted(runs, table, right, mine), table)
        for_points = [(one, one.chosen(mine, runs.reference, points)) for one in (learned, theirs)]
        drawn.append([one.samples[setting, other] for one, setting in for_points])
        lost.append([100 * (runs.reference - one.right[setting])[other] for one, setting in for_points])
    samples, loss = np.concatenate(drawn, axis=1), np.concatenate(lost, axis=1)  # (2, tuned)
    fewer = samples[1] - samples[0]
    mean, means = loss.mean(axis=1), samples.mean(axis=1)
    beyond_chance = fewer.mean() > SURE * fewer.std() / len(fewer) ** 0.5
    better = bool(beyond_chance and mean[0] <= max(points, mean[1]))
    weights = fitted(runs, table, right, tuning)
    return Guarded(
        better,
        (float(means[0]), float(means[1])),
        (float(mean[0]), float(mean[1])),
        offered(runs, right, weights, table) if better else theirs,
        tuple(weights.tolist()) if better else (),
    )


def states(runs: Runs) -> Floats:
    """Features of every set of votes at even odds, shape (states, FEATURES); NaN without a vote."""
    found = np.full((len(runs.votes), len(FEATURES)), np.nan)
    for state, (votes, drawn) in enumerate(zip(runs.votes, runs.drawn.tolist(), strict=True)):
        if votes:
            found[state] = vote_features(votes, runs.problem.most - drawn)
    return found


def fitted(runs: Runs, table: Floats, right: Floats, among: NDArray[np.bool_]) -> Floats:
    """Weights (FEATURES,) by ridge regression of what the end brings on the features, over the runs of `among`."""
    odds = np.array([log_odds(p) for p in right[among].tolist()])
    end = runs.right[:, among, -1]
    gram, moment = np.zeros((len(FEATURES),) * 2), np.zeros(len(FEATURES))
    for at in range(runs.problem.most - 1):
        x = table[runs.state[:, among, at]]  # (R, m, FEATURES)
        x[..., ODDS] = odds
        x[..., ODDS_SHARE] = odds * x[..., SHARE]
        y = (end - runs.right[:, among, at]).reshape(-1)
        flat = x.reshape(-1, len(FEATURES))
        voted = np.isfinite(flat[:, 0])
        gram += flat[voted].T @ flat[voted]
        moment += flat[voted].T @ y[voted]
    return np.asarray(np.linalg.solve(gram + RIDGE * np.eye(len(FEATURES)), moment))


def offered(runs: Runs, right: Floats, weights: Floats, table: Floats) -> Candidates:
    """Where the rule stops every run, at every least gain that pays."""
    odds = np.array([log_odds(p) for p in right.tolist()])
    alone = np.nan_to_num(table, nan=0.0) @ np.where(
        np.isin(np.arange(len(FEATURES)), VOTES_ALONE), weights, 0.0
    )
    share = np.nan_to_num(table[:, SHARE], nan=0.0)
    gain = (
        alone[runs.state]
        + (odds * weights[ODDS])[:, None]
        + weights[ODDS_SHARE] * odds[:, None] * share[runs.state]
    )
    gain[~np.isfinite(table[runs.state, 0])] = np.inf  # without a vote it goes on
    stops = np.stack([first_true(gain <= least) for least in LEASTS])
    return Candidates.of(runs, tuple(f"least {least:g}" for least in LEASTS), stops).with_care()


def guarded_stop(known: Known, points: float = POINTS) -> tuple[LearnedStop, Guarded]:
    """The rule fitted to all queries, and what held-out ones say; raises `NotEnoughData`.

    Where it is no better than `value_of_next` it has no weights.
    """
    everything = Split(0, np.ones(known.runs.shape[1], np.bool_))
    theirs, expected = by_expectation(known)(everything), known.learn(everything)
    if theirs is None or expected is None:
        name = known.runs.problem.backend
        raise NotEnoughData(f"too few queries to learn what to expect of {name!r}")
    table = states(known.runs)
    found = guarded(known.runs, table, expected.right, theirs, everything.tuning, points)
    setting = found.candidates.chosen(everything.tuning, known.runs.reference, points)
    return LearnedStop(found.weights, LEASTS[setting]) if found.better else LearnedStop(), found


def fit_learned_stop(
    recording: Annotated[Path, typer.Option(help="A recording with several samples per query.")],
    backend: Annotated[str, typer.Option(help="Its backend; default: the one with most samples.")] = "",
    points: Annotated[float, typer.Option(min=0.0, help="Of accuracy that may be lost.")] = POINTS,
    seed: int = 0,
) -> None:
    """Print the rule, as a stage's `stop`, and what held-out queries say of it."""
    problems = problems_of(Recording.load(recording), seed, LEAST_SAMPLES)
    problem = next((one for one in problems if backend in ("", one.backend)), None)
    if problem is None:
        raise NotEnoughData(
            f"{recording}: no backend {backend!r} with {LEAST_SAMPLES} samples of enough queries"
        )
    rule, found = guarded_stop(Known.of(runs_of(problem, SPLITS), learner(problem)), points)
    typer.echo(
        f"# {problem.backend}, {problem.most} samples, {len(problem.queries)} queries, held out, for {points:g} points:"
    )
    for place, name in enumerate(("learned_stop", "value_of_next")):
        typer.echo(f"# {name}: {found.samples[place]:.2f} samples, {found.loss[place]:.2f} points lost")
    if not found.better:
        typer.echo("# no better beyond chance: it is value_of_next")
    weights = ", ".join(f"{weight:.5g}" for weight in rule.weights)
    typer.echo(f'stop = {{ kind = "learned_stop", least = {rule.pays:g}, weights = [{weights}] }}')


if __name__ == "__main__":
    typer.run(fit_learned_stop)
