"""`apportion explain`: why was this decided? One row of the log in words, step by step."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from router.decisions.read_only import open_read_only
from router.decisions.rows import subject_of, subjects_of, to_outcome
from router.domain.decision import Decision, Mode, Outcome
from training.errors import TrainingError
from training.explain_signals import signals_in_words

CONFIG = Path("router.toml")
ABOUT_S = 60.0  # an id says when it was given, to the millisecond, by the clock of the replica


def explain(
    decision_id: Annotated[str, typer.Argument(help="As in the reply, or in the trailer of an error.")],
    store: Annotated[
        str, typer.Option(help="The decision store; its server may be running. Default: the configuration's.")
    ] = "",
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The configuration that names the store.")
    ] = CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")] = False,
) -> None:
    """Say why a query was decided as it was: expectations, odds, why other plans could not be, votes, the stop.

    Reads the store and nothing else, also while its server runs.
    """
    if not store:
        from router.commands.store import address_of
        from router.configuration.file import load

        store = address_of(load(config), config.parent)
    row, outcomes = found_in(store, decision_id)
    if as_json:
        said = {"decision": _plain(row), "outcomes": [asdict(outcome) for outcome in outcomes]}
        print(json.dumps(said, ensure_ascii=False))
        return
    print("\n".join(in_words(row, outcomes)))


def found_in(store: str, decision_id: str) -> tuple[Decision, list[Outcome]]:
    """The row and what was reported about it, without what was superseded. Raises `TrainingError` where it is not."""
    with open_read_only(store) as look:
        row = next(
            (
                one
                for since, until in _when(decision_id)
                for one in look.decisions(since, until)
                if one is not None and one.decision_id == decision_id
            ),
            None,
        )
        if row is None:
            raise TrainingError(f"{store}: there is no decision {decision_id!r}")
        about = set(subjects_of(row))
        told = [to_outcome(body) for body, superseded in look.outcomes() if not superseded]
    return row, [one for one in told if subject_of(one) in about and one.tenant == row.tenant]


def in_words(row: Decision, outcomes: list[Outcome]) -> Iterator[str]:
    """Line by line."""
    yield f"decision {row.decision_id}: {row.status.value}, plan {row.plan} at odds of {row.propensity:.3g}"
    mind = row.bundle or "no bundle"
    yield f"decided by {row.policy} with {mind}, in mode {row.mode.value}, at a price of {row.price:g} per dollar"
    if row.query_text:
        yield f"query: {row.query_text[:300]}"
    yield "plans that could be drawn:"
    for plan, odds in sorted(row.probabilities.items(), key=lambda entry: -entry[1]):
        quality, cost = row.forecasts.get(plan, (None, math.nan))
        good = "reward not known" if quality is None else f"reward {quality:.3f}"
        worth = "" if quality is None else f", worth {quality - row.price * cost * 1e-6:+.3f}"
        by = "apply would draw it" if row.would_plan and row.mode is Mode.OBSERVE else "drawn"
        how = f"  <- {by}" + (", to explore" if row.explored else "")
        mark = how if plan == (row.would_plan or row.plan) else ""
        yield f"  {plan}: odds {odds:.3g}, expected {good}, ${cost * 1e-6:.6f}{worth}{mark}"
    if row.infeasible:
        yield "plans that could not:"
        yield from (f"  {plan}: {why}" for plan, why in row.infeasible.items())
    if row.would_plan:
        drawn = (
            "apply would have drawn" if row.mode is Mode.OBSERVE else "another took over from the one drawn,"
        )
        yield f"{drawn} {row.would_plan} (odds {row.would_propensity:.3g})"
    if row.signals:
        yield "what was predicted:"
        yield from signals_in_words(row.signals)
    yield "what happened:"
    yield from _samples(row)
    yield from _ending(row)
    for one in outcomes:
        yield f"outcome: {one.metric} = {one.value}" + (f" by {one.source}" if one.source else "")


def _samples(row: Decision) -> Iterator[str]:
    votes: dict[int, Counter[str]] = {}
    for sample in row.samples:
        lost = "no answer" if sample.answer_class is None else "an answer (not kept)"
        said = lost if sample.answer is None else f"{sample.answer[:60]!r}"
        sure = "" if sample.confidence is None else f", confidence {sample.confidence:.2f}"
        part = "" if sample.prefix_tokens is None else f" after {sample.prefix_tokens} tokens"
        counted = votes.setdefault(sample.stage, Counter())
        if sample.answer_class is not None and sample.prefix_tokens is None:
            counted[f"class {sample.answer_class}"] += 1
        tally = ", ".join(f"{name}: {count}" for name, count in counted.items())
        yield (
            f"  stage {sample.stage + 1}, {sample.backend} #{sample.index}{part}: {said}{sure}, "
            f"{sample.tokens_in} + {sample.tokens_out} tokens, {sample.finish_reason or 'growing'}"
            + (f"; votes {tally}" if tally else "")
        )
    kept = len({(sample.stage, sample.backend, sample.index) for sample in row.samples})
    begun = sum(used.samples for used in row.usage.values())
    if 0 < kept < begun:
        yield f"  {begun - kept} more, cut or not kept; in the cost, too"


def _ending(row: Decision) -> Iterator[str]:
    yield f"it stopped: {row.stop_reason or 'nothing was asked'}"
    sure = "" if row.confidence is None else f" with confidence {row.confidence:.2f}"
    yield f"answer: {'(not kept)' if row.answer is None else row.answer[:300]}{sure}"
    yield f"cost ${row.cost * 1e-6:.6f} of ${row.reserved * 1e-6:.6f} set aside, {row.latency_s:.3f} s"
    if row.degraded:
        yield f"not as it should be: {'; '.join(row.degraded)}"
    if row.error:
        yield f"error: {row.error}"
    yield f"for evaluation: {'usable' if row.usable else 'not usable: ' + row.unusable_reason}"


def _when(decision_id: str) -> Iterator[tuple[float, float]]:
    """Where to look first: ids begin with the milliseconds of their making; then everywhere."""
    try:
        moment = int(decision_id[:12], 16) / 1000
    except ValueError:
        pass
    else:
        yield moment - ABOUT_S, moment + ABOUT_S
    yield -math.inf, math.inf


def _plain(row: Decision) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(row)
    found.pop("features", None)
    return found
