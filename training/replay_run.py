"""The live allocator over recorded backends, in this process: what is trained on is what is served.

Nothing here depends on a clock, on chance or on rewards: with rewards and gold answers removed from the recording the
decisions are the same, bit for bit. A query is asked under its own id, as a client of the served path would ask it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import numpy as np

from predictors import Predictions
from predictors.observation import Constraints, Message, Part, Query, Sample
from router.assemble import Service, assemble
from router.backends import Backend
from router.backends.recorded import QUERY_ID, Recorded
from router.backends.recording_shelf import RecordingShelf
from router.config import BackendConfig, BudgetConfig, Config, StoreConfig
from router.domain.decision import Decision
from router.domain.events import Done
from router.domain.options import Options
from router.recording import Recording
from router.recording_cost import Prices
from training.decision_rows import NO_ANSWER, DecisionRows, Named, RowKey, cost_of_samples
from training.decisions_file import find_rows
from training.errors import TrainingError

SMALL_WRONG = "p_small_wrong"


@dataclass(frozen=True, slots=True)
class Replayed:
    """One query: the logged row, and the sample that was chosen as the answer."""

    place: int  # index into Recording.queries
    decision: Decision
    answer: Sample | None = field(compare=False)


class OneRecording(RecordingShelf):
    """A shelf with one recording on it, whatever is asked for."""

    def __init__(self, recording: Recording) -> None:
        super().__init__()
        self._only = recording

    def held(self, folder: str) -> Recording | None:
        """The recording."""
        return self._only


def replay(
    config: Config,
    recording: Recording,
    query_ids: Sequence[str],
    *,
    predictions: Predictions | None = None,
    base: Path = Path(),
    progress: Callable[[float], None] = lambda share: None,
) -> list[Replayed]:
    """Answer the queries in order, each by the configuration's policy at its price.

    All backends become recorded ones of `recording`; a backend that has no sample for a query is denied to it.
    Predictions are those of the configuration's bundle (a path relative to `base`) unless they are given. Raises
    `UnknownName` for a query or `TrainingError` for a backend that the recording does not have.
    """
    return asyncio.run(_replay(config, recording, query_ids, predictions, base, progress))


async def _replay(
    config: Config,
    recording: Recording,
    query_ids: Sequence[str],
    predictions: Predictions | None,
    base: Path,
    progress: Callable[[float], None],
) -> list[Replayed]:
    places = [recording.index_of(query_id) for query_id in query_ids]
    service = recorded_service(config, recording, predictions, base)
    found: list[Replayed] = []
    try:
        for number, place in enumerate(places):
            async for event in service.allocator.run(_query(config, recording, place), Options()):
                if isinstance(event, Done):
                    found.append(Replayed(place, event.decision, event.answers[0] if event.answers else None))
            progress((number + 1) / len(places))
    finally:
        await service.close()
    return found


def recorded_service(
    config: Config, recording: Recording, predictions: Predictions | None, base: Path
) -> Service:
    """The configuration's service with every backend played from the recording, a still clock and no store."""
    shelf = OneRecording(recording)
    backends: dict[str, Backend] = {}
    for name, section in config.backends.items():
        recorded_as = section.recorded_as or name
        if recorded_as not in recording.backends:
            has = ", ".join(recording.backends)
            raise TrainingError(
                f"replay: recording {recording.name!r} has no backend {recorded_as!r}; it has {has}"
            )
        played = BackendConfig(
            kind="recorded",
            recording=recording.name,
            recorded_as=recorded_as,
            logprobs=section.logprobs,
            context_tokens=section.context_tokens,
        )
        backends[name] = Recorded(name, played, shelf)
    plain = msgspec.structs.replace(
        config,
        mode="apply",
        modes=(),
        budget=BudgetConfig(),
        store=StoreConfig(sqlite=":memory:", keep="off"),
    )
    return assemble(
        plain,
        base=base,
        backends=backends,
        predictions=predictions,
        replica="replay",
        monotonic_s=lambda: 0.0,
        wall_s=lambda: 0.0,
        new_id=lambda query: query.request_id,
    )


def _query(config: Config, recording: Recording, place: int) -> Query:
    query = recording.queries[place]
    denied = []
    for name, section in config.backends.items():
        rows = recording.rows(place, section.recorded_as or name)
        if rows.start == rows.stop:
            denied.append(name)
    return Query(
        request_id=query.query_id,
        messages=(Message("user", (Part(text=query.query),)),),
        constraints=Constraints(denied_backends=tuple(denied)),
        metadata={QUERY_ID: query.query_id},
    )


def as_rows(
    replayed: Sequence[Replayed], recording: Recording, config: Config, key: RowKey, cheapest: str
) -> DecisionRows:
    """The decisions as one block; `cheapest` is the backend that `p_small_wrong` speaks of.

    Costs follow the recording's cost rule at the configuration's prices.
    """
    n = len(replayed)
    played = {name: section.recorded_as or name for name, section in config.backends.items()}
    taken = [
        (
            at.place,
            recording.backends.index(played[sample.backend]),
            sample.index,
            _prefix(sample.prefix_tokens),
        )
        for at in replayed
        for sample in at.decision.samples
    ]
    named = np.array(taken, dtype=np.int64).reshape(-1, 4)
    plans = tuple(dict.fromkeys(at.decision.plan for at in replayed))
    answers = tuple(dict.fromkeys(text for at in replayed if (text := _text(at)) is not None))
    number = {text: place for place, text in enumerate(answers)}
    counts = [len(at.decision.samples) for at in replayed]
    rows = DecisionRows(
        key=key,
        query=np.array([at.place for at in replayed], dtype=np.int32),
        plans=plans,
        plan=np.array([plans.index(at.decision.plan) for at in replayed], dtype=np.int32),
        samples_from=np.concatenate(([0], np.cumsum(counts))).astype(np.int32),
        sample_row=find_rows(recording, named[:, 0], named[:, 1], named[:, 2], named[:, 3]),
        answer=np.array(
            [NO_ANSWER if (text := _text(at)) is None else number[text] for at in replayed], np.int32
        ),
        cost=np.zeros(n),
        probabilities=_named([at.decision.probabilities for at in replayed]),
        signals=_named([_signals(at.decision.signals, cheapest) for at in replayed]),
        answers=answers,
    )
    prices = {
        played[name]: Prices(section.price_in, section.price_out) for name, section in config.backends.items()
    }
    every = {name: prices.get(name, price) for name, price in recording.prices.items()}
    return replace(rows, cost=cost_of_samples(rows, recording, every))


def _prefix(tokens: int | None) -> int:
    return -1 if tokens is None else tokens


def _text(at: Replayed) -> str | None:
    return None if at.answer is None else at.answer.answer


def _signals(signals: Mapping[str, float], cheapest: str) -> dict[str, float]:
    right = signals.get(f"p_correct/{cheapest}")
    return {**({} if right is None else {SMALL_WRONG: 1 - right}), **signals}


def _named(rows: Sequence[Mapping[str, float]]) -> Named:
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    number = {name: place for place, name in enumerate(names)}
    entries = list(_entries(rows))
    return Named(
        names,
        np.concatenate(([0], np.cumsum([len(row) for row in rows]))).astype(np.int32),
        np.array([number[name] for name, _ in entries], dtype=np.int32),
        np.array([value for _, value in entries], dtype=np.float64),
    )


def _entries(rows: Sequence[Mapping[str, float]]) -> Iterator[tuple[str, float]]:
    for row in rows:
        yield from row.items()
