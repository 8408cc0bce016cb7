"""The live allocator over recorded backends, in this process: what is trained on is what is served.

Nothing here depends on a clock, on chance or on rewards: with rewards and gold answers removed from the recording the
decisions are the same, bit for bit. A query is asked under its own id, as a client of the served path would ask it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from predictors import Predictions
from predictors.observation import Constraints, Message, Part, Query, Sample
from router.assemble import Service, assemble
from router.backends import Backend
from router.backends.recorded import QUERY_ID, Recorded
from router.backends.recording_shelf import RecordingShelf
from router.config import BackendConfig, BudgetConfig, Config, ShadowConfig, StoreConfig
from router.config_access import AuthConfig, TlsConfig
from router.domain.decision import Decision
from router.domain.events import Done
from router.domain.options import Options
from router.errors import NoPlan
from router.recording import Recording
from training.decision_rows import DecisionRows, RowKey
from training.decisions_taken import Taken, rows_of_taken, with_small_wrong
from training.errors import TrainingError


@dataclass(frozen=True, slots=True)
class Replayed:
    """One query: the logged row, and the sample that was chosen as the answer."""

    place: int  # index into Recording.queries
    decision: Decision
    answer: Sample | None = field(compare=False)
    # snapshots that were asked for their answers
    looks: tuple[Sample, ...] = field(default=(), compare=False)


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

    All backends become recorded ones of `recording`; a backend that has no sample for a query is denied to it, and a
    query on which no plan can run then is left out. Predictions are those of the configuration's bundle (a path
    relative to `base`) unless they are given. Raises `UnknownName` for a query, `TrainingError` for a backend that the
    recording does not have, and `NoPlan` where all queries are left out.
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
    nowhere: NoPlan | None = None
    try:
        for number, place in enumerate(places):
            try:
                found.append(await _answered(service, place, _query(config, recording, place)))
            except NoPlan as reason:
                nowhere = reason
            progress((number + 1) / len(places))
    finally:
        await service.close()
    if nowhere is not None and not found:
        raise nowhere
    return found


async def _answered(service: Service, place: int, query: Query) -> Replayed:
    async for event in service.allocator.run(query, Options()):
        if isinstance(event, Done):
            return Replayed(place, event.decision, event.answers[0] if event.answers else None, event.looks)
    raise TrainingError(f"replay: query {query.request_id!r} ended without a decision")


def recorded_service(
    config: Config, recording: Recording, predictions: Predictions | None, base: Path, *, whole: bool = True
) -> Service:
    """The configuration's service with every backend played from the recording, a still clock and no store.

    Who may come in, what may be spent and what is released to servers is not part of it: the bundle that is given
    decides, at prices before any date (see `priced_at`).

    `whole`: raise `TrainingError` for a backend that the recording lacks, instead of one that has nothing to say.
    """
    shelf = OneRecording(recording)
    backends: dict[str, Backend] = {}
    for name, section in config.backends.items():
        recorded_as = section.recorded_as or name
        if whole and recorded_as not in recording.backends:
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
        bundles="",
        budget=BudgetConfig(),
        budgets=(),
        shadow=ShadowConfig(),
        auth=AuthConfig(),
        tls=TlsConfig(),
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
    denied = []
    for name, section in config.backends.items():
        rows = recording.rows(place, section.recorded_as or name)
        if rows.start == rows.stop:
            denied.append(name)
    return recorded_query(recording, place, Constraints(denied_backends=tuple(denied)))


def recorded_query(recording: Recording, place: int, constraints: Constraints) -> Query:
    """A recorded query as a request under its own id."""
    query = recording.queries[place]
    return Query(
        request_id=query.query_id,
        messages=(Message("user", (Part(text=query.query),)),),
        constraints=constraints,
        metadata={QUERY_ID: query.query_id},
    )


def looked_at(at: Replayed) -> tuple[tuple[str, int, int | None], ...]:
    """Every snapshot that was looked at and every sample: (backend, sample_idx, prefix_tokens)."""
    looks = [(look.backend, look.index, look.prefix_tokens) for look in at.looks]
    samples = [(sample.backend, sample.index, sample.prefix_tokens) for sample in at.decision.samples]
    return (*looks, *(one for one in samples if one not in looks))


def as_rows(
    replayed: Sequence[Replayed], recording: Recording, config: Config, key: RowKey, cheapest: str
) -> DecisionRows:
    """The decisions as one block; `cheapest` is the backend that `p_small_wrong` speaks of."""
    taken = [
        Taken(
            at.place,
            at.decision.plan,
            looked_at(at),
            None if at.answer is None else at.answer.answer,
            at.decision.probabilities,
            with_small_wrong(at.decision.signals, cheapest),
        )
        for at in replayed
    ]
    return rows_of_taken(taken, recording, config, key)
