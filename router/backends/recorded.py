"""Serves a recording: the samples that real backends gave to the same queries, at any pace.

A query is found by its metadata `x-recording-query-id`, else by its text if only one recorded query has it. Samples
are drawn without replacement in an order that depends on the call's seed and the sample numbers alone: rewards and
gold answers are not read, so a recording without them serves the same bits. A call that wants more than was
recorded ends early.

A sample that is longer than the call's `max_tokens` is served as cut there (`cut_to`), where its tokens were recorded.

When it fails: samples are those of the recording's own parameters, whatever the call's temperature; prompts are not
applied; a sample whose length is only guessed is served whole; two stages of one plan on the same backend draw
independently.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from operator import itemgetter

from predictors.hidden_pieces import made_of
from predictors.observation import Query, Sample
from router.backends import Call, Capabilities
from router.backends.recorded_cut import cut_to
from router.backends.recorded_looks import as_seen, asks, closed, due_looks
from router.backends.recording_shelf import RecordingShelf
from router.backends.timeline import Event, Timeline, pieces
from router.config import BackendConfig
from router.domain.events import Delta
from router.domain.usage import Meter, Usage
from router.errors import BackendUnavailable, NotRecorded, RecordingError
from router.recording import RecordedSample, Recording
from router.recordings.cost import SNAPSHOT_TOKENS

QUERY_ID = "x-recording-query-id"


@dataclass(slots=True)
class _Flight:
    """A sample on its way: what it is, when it began (recorded seconds), what was shown and booked of it."""

    sample: Sample
    snapshots: tuple[Sample, ...]
    began: float
    looks: int = 0  # snapshots shown with their answers, and the answer that was asked for at the end
    last: Sample | None = None  # the latest snapshot that was shown
    shown_tokens: int = 0  # in deltas and snapshots
    booked: Usage = field(default_factory=Usage)

    def events(self, call: Call) -> Iterator[Event[Sample | Delta]]:
        """Deltas, snapshots and last the finished sample, by time."""
        kinds: list[Iterator[Event[Sample | Delta]]] = []
        if call.stream and self.sample.text:
            kinds.append(self._deltas())
        if call.growing and self.snapshots:
            kinds.append((self.at(one.tokens_out), as_seen(one, call)) for one in self.snapshots)
        yield from heapq.merge(*kinds, key=itemgetter(0))
        yield self.sample.latency_s or 0.0, self.sample

    def share(self, now: float) -> float:
        """How much of the output has come by `now`, in [0, 1]."""
        first, last = self.sample.first_token_s or 0.0, self.sample.latency_s or 0.0
        if now - self.began >= last:
            return 1.0
        return max(0.0, (now - self.began - first) / (last - first)) if last > first else 0.0

    def at(self, tokens: int) -> float:
        """Recorded seconds from its beginning to so many tokens."""
        first, last = self.sample.first_token_s or 0.0, self.sample.latency_s or 0.0
        return min(last, first + (last - first) * tokens / max(1, self.sample.tokens_out))

    def _deltas(self) -> Iterator[Event[Sample | Delta]]:
        tokens = self.sample.tokens_out
        cut = pieces(self.sample.text, tokens)
        for place, piece in enumerate(cut):
            before, after = tokens * place // len(cut), tokens * (place + 1) // len(cut)
            delta = Delta(self.sample.sample_id, piece, "", after - before, self.sample.backend)
            yield self.at(before), delta


class Recorded:
    """One backend of one recording. `shelf` is shared with the other backends of the same configuration."""

    def __init__(
        self,
        name: str = "recorded",
        config: BackendConfig | None = None,
        shelf: RecordingShelf | None = None,
    ) -> None:
        self.name = name
        self.config = config or BackendConfig(kind="recorded")
        self.recorded_as = self.config.recorded_as or name
        self.capabilities = Capabilities(
            logprobs=self.config.logprobs, context_tokens=self.config.context_tokens
        )
        self._shelf = shelf or RecordingShelf()

    async def sample(self, call: Call, meter: Meter) -> AsyncGenerator[Sample | Delta, None]:
        """See `Backend.sample`."""
        recording = await self._recording()
        rows = self._rows(recording, call.query)
        order = drawing_order(len(rows), call.seed)
        timeline: Timeline[Sample | Delta] = Timeline(self.config.pace, asyncio.get_running_loop().time)
        flights: dict[str, _Flight] = {}
        started = 0
        try:
            while True:
                for name in call.pruned & flights.keys():
                    self._book_cut(meter, flights.pop(name), timeline.now())
                for name in sorted(name for name in call.closing & flights.keys() if flights[name].last):
                    yield self._close(meter, flights.pop(name), call)
                most = 0 if call.closing else min(call.max_samples, len(order))
                while started < most and len(flights) < call.width:
                    flight = self._flight(recording, rows[order[started]], call, started, timeline.now())
                    flights[flight.sample.sample_id] = flight
                    timeline.start(flight.events(call))
                    started += 1
                if not flights:
                    return
                event = await timeline.next()
                owner = flights.get(event.sample_id)
                if owner is None:
                    continue  # pruned
                if isinstance(event, Sample):
                    self._book_shown(meter, owner, event, call)
                    if event.finished:
                        del flights[event.sample_id]
                else:
                    owner.shown_tokens += event.tokens
                yield event
        finally:
            for owner in flights.values():
                self._book_cut(meter, owner, timeline.now())

    async def close(self) -> None:
        """Nothing to release: the shelf belongs to whoever made it."""

    async def _recording(self) -> Recording:
        held = self._shelf.held(self.config.recording) if self.config.recording else None
        if held is not None:
            return held
        if not self.config.recording:
            raise BackendUnavailable(f"{self.name}: no recording is configured")
        try:
            return await self._shelf.take(self.config.recording)
        except RecordingError as error:
            raise BackendUnavailable(f"{self.name}: {error}") from error

    def _rows(self, recording: Recording, query: Query) -> range:
        if self.recorded_as not in recording.backends:
            has = ", ".join(recording.backends)
            raise BackendUnavailable(
                f"{self.name}: recording {recording.name!r} has no backend {self.recorded_as!r}; it has {has}"
            )
        place = find(recording, query)
        rows = recording.rows(place, self.recorded_as)
        if rows.start == rows.stop:
            query_id = recording.queries[place].query_id
            raise NotRecorded(
                f"{self.name}: recording {recording.name!r} has no sample of {self.recorded_as!r} for {query_id!r}"
            )
        return range(rows.start, rows.stop)

    def _flight(self, recording: Recording, row: int, call: Call, number: int, now: float) -> _Flight:
        recorded, limit = recording.sample(row), call.sampling.max_tokens
        sample_id = f"{call.stage}.{number}"
        whole = self._sample(recording, recorded, sample_id, call.stage)
        # tokens that were not recorded are guessed by a rule of thumb, which must not decide what is cut
        longer = (
            limit is not None and whole.tokens_out > limit and recording.value(row, "tokens_out") is not None
        )
        seen: tuple[RecordedSample, ...] = ()
        if call.growing or longer:
            query_id = recording.queries[recording.columns.query[row]].query_id
            seen = recording.snapshots(query_id, self.recorded_as, recorded.sample_idx)
        snapshots = tuple(self._sample(recording, one, sample_id, call.stage) for one in seen)
        due = due_looks(snapshots, [one.text for one in seen], call.growth) if call.growing else ()
        if longer and limit is not None:
            whole = cut_to(whole, limit, recorded.text, snapshots)
            due = tuple(snapshot for snapshot in due if snapshot.tokens_out < limit)
        return _Flight(whole, due, now)

    def _sample(self, recording: Recording, seen: RecordedSample, sample_id: str, stage: int) -> Sample:
        text = seen.text if seen.text is not None else seen.answer
        hidden = recording.hidden(seen.row)
        return Sample(
            sample_id=sample_id,
            backend=self.name,
            text=text or "",
            stage=stage,
            index=seen.sample_idx,
            finished=seen.prefix_tokens is None,
            finish_reason=(seen.finish_reason or "stop") if seen.prefix_tokens is None else "",
            tokens_in=round(seen.tokens_in),
            tokens_out=round(seen.tokens_out),
            mean_logprob=seen.mean_logprob,
            first_entropy=seen.first_entropy,
            confidence=seen.confidence,
            hidden=hidden,
            pieces=() if hidden is None else made_of(len(hidden), recording.pieces(self.recorded_as)),
            prefix_tokens=seen.prefix_tokens,
            first_token_s=seen.first_token_s,
            latency_s=seen.latency_s if seen.prefix_tokens is None else None,
            answer=seen.answer,
        )

    def _close(self, meter: Meter, flight: _Flight, call: Call) -> Sample:
        """The sample as it would have answered at its latest snapshot."""
        assert flight.last is not None  # noqa: S101 (asked before)
        tokens = flight.last.tokens_out
        if not asks(call):
            flight.looks += 1
            self._book(meter, flight, tokens)
        return closed(next(one for one in flight.snapshots if one.tokens_out == tokens), flight.at(tokens))

    def _book_shown(self, meter: Meter, flight: _Flight, shown: Sample, call: Call) -> None:
        """A whole sample costs its tokens, a trace what it had spent; each answer at one costs a short answer more."""
        if not shown.finished:
            flight.looks += asks(call)
            flight.last = shown
            flight.shown_tokens = max(flight.shown_tokens, shown.tokens_out)
        self._book(meter, flight, shown.tokens_out)

    def _book_cut(self, meter: Meter, flight: _Flight, now: float) -> None:
        """The share that has come: by the clock where there is one, else what was shown."""
        tokens = flight.shown_tokens
        if self.config.pace:
            tokens = max(tokens, round(flight.sample.tokens_out * flight.share(now)))
        elif not tokens and not flight.looks:
            return  # at once: what was not shown was never begun
        self._book(meter, flight, tokens)

    def _book(self, meter: Meter, flight: _Flight, tokens: int) -> None:
        now = Usage(flight.sample.tokens_in, 0, tokens + SNAPSHOT_TOKENS * flight.looks, 0, flight.looks, 1)
        before = flight.booked
        meter.add(
            self.name,
            Usage(
                now.tokens_in - before.tokens_in,
                0,
                now.tokens_out - before.tokens_out,
                0,
                now.side_calls - before.side_calls,
                now.samples - before.samples,
            ),
        )
        flight.booked = now


def find(recording: Recording, query: Query) -> int:
    """The query's place in the recording. Raises `NotRecorded`, naming the ids that share its text."""
    query_id = query.metadata.get(QUERY_ID)
    if query_id is not None:
        place = recording.by_id.get(query_id)
        if place is None:
            raise NotRecorded(f"recording {recording.name!r} has no query {query_id!r} ({QUERY_ID})")
        return place
    places = recording.queries_with_text(query.text)
    if len(places) == 1:
        return places[0]
    ids = [recording.queries[place].query_id for place in (places or range(len(recording.queries)))]
    named = ", ".join(ids[:10]) + (f" and {len(ids) - 10} more" if len(ids) > 10 else "")
    what = f"{len(places)} queries with this text" if places else "no query with this text"
    raise NotRecorded(
        f"recording {recording.name!r} has {what}; choose by the metadata {QUERY_ID} from {named}"
    )


def drawing_order(count: int, seed: int) -> list[int]:
    """A permutation of 0..count-1. Made of `random()` alone: the one method whose sequence Python keeps for good."""
    draws = random.Random(seed)
    keys = [draws.random() for _ in range(count)]
    return sorted(range(count), key=keys.__getitem__)
