"""What one caller was asked to draw, what came back, and what it used: each sample is booked once, at its largest.

A sample that was asked for and has not ended is outstanding: while there is one, nobody knows what the query used.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from predictors.observation import Sample
from router.backends import Call
from router.domain.usage import Meter, Usage, mean
from router.errors import BackendUnavailable, InvalidQuery, RouterError

WAITING = 64  # messages of a caller that is ahead of us; further ones wait on its side
FAILED = "error"  # the finish reason of a sample whose backend failed


@dataclass(frozen=True, slots=True)
class More:
    """Start `count` samples of `call` (0: go on with those that run); `escalates`: it is the next stage's first."""

    backend: str
    model: str
    call: Call
    count: int
    escalates: bool = False


@dataclass(frozen=True, slots=True)
class Prune:
    """Cut these samples; they neither vote nor answer. What they used is still to be reported."""

    sample_ids: tuple[str, ...]


Advice = More | Prune
Tell = Callable[[Advice], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Brought:
    """One message of the caller: a sample, finished or growing, and what it used so far; None: it does not say."""

    sample: Sample  # its `stage`, `index` and tokens are set here; "" as backend: the one that is running
    usage: Usage | None


@dataclass(slots=True)
class Asked:
    """One stage's samples, as they were asked for."""

    backend: str
    model: str
    call: Call
    worst: Usage  # of one sample
    gpu_share: float = 0.0
    asked: int = 0
    ended: int = 0
    numbers: dict[str, int] = field(default_factory=dict)  # sample id -> its place, by arrival
    growing: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)  # pruned, and the caller was told

    @property
    def running(self) -> int:
        """Samples that take a place: asked for, neither ended nor cut."""
        return self.asked - self.ended - len(self.cut & self.growing)

    @property
    def unseen(self) -> int:
        """Samples that were asked for and of which nothing has come."""
        return self.asked - len(self.numbers)


class Feed:
    """The samples of one advised query. `read` fills it; everything else is for `AdvisedBackend` and `Advisor`."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._messages: asyncio.Queue[Brought | RouterError | None] = asyncio.Queue(WAITING)
        self._stages: list[Asked] = []
        self._owners: dict[str, Asked] = {}  # by sample id
        self._used: dict[str, Usage] = {}  # by sample id
        self._ended: set[str] = set()
        self.over = False  # the caller sends nothing more

    @property
    def outstanding(self) -> int:
        """Samples that were asked for and have not ended: what they use is not known."""
        return sum(stage.asked - stage.ended for stage in self._stages)

    def unsaid(self) -> Meter:
        """What outstanding samples may have used besides what was said of them: as much as their stage's that ended.

        Nothing where none has.
        """
        meter = Meter()
        for stage in self._stages:
            ended = [self._used[name] for name in stage.numbers if name in self._ended]
            if not ended or stage.asked == stage.ended:
                continue
            like = mean(ended)
            for name in stage.growing:
                meter.add(stage.backend, like.at_least(self._used[name]).since(self._used[name]))
            for _ in range(stage.unseen):
                meter.add(stage.backend, like)
        return meter

    async def read(self, messages: AsyncIterator[Brought | RouterError]) -> None:
        """Take in what the caller sends, until it ends."""
        # whatever a transport raises: the caller is gone, and the call ends by that
        with suppress(Exception):
            async for message in messages:
                await self._messages.put(message)
        await self._messages.put(None)

    def open(self, asked: Asked) -> None:
        """A stage begins."""
        self._stages.append(asked)

    async def ask(self, asked: Asked) -> bool:
        """Tell the caller what to cut and start; False, and silent, where the stage has nothing left to wait for."""
        pruned = (asked.growing & asked.call.pruned) - asked.cut
        if pruned:
            asked.cut |= pruned
            await self._tell(Prune(tuple(sorted(pruned))))
        count = max(0, min(asked.call.width - asked.running, asked.call.max_samples - asked.asked))
        if not asked.running and not count:
            return False
        escalates = not asked.asked and asked is not self._stages[0]
        asked.asked += count  # before it is told: from then on the caller may have started them
        await self._tell(More(asked.backend, asked.model, asked.call, count, escalates))
        return True

    async def next(self, asked: Asked, meter: Meter) -> Sample | None:
        """The next sample of a running stage; None where the caller sends nothing more.

        Late samples of earlier stages are booked on the way. Raises `InvalidQuery` for what was not asked for and
        `BackendUnavailable` for a sample whose backend failed the caller.
        """
        while (message := await self._message()) is not None:
            owner, sample = self.take(message, meter, asked)
            if owner is asked and sample.sample_id not in asked.call.pruned:
                if sample.finished and sample.finish_reason == FAILED:
                    raise BackendUnavailable(f"backend {asked.backend!r} failed the caller")
                return sample
            await self._tell(More(asked.backend, asked.model, asked.call, 0))
        return None

    async def late(self, meter: Meter) -> None:
        """After the end: book what still comes, until all has ended or the caller sends nothing more."""
        while self.outstanding and (message := await self._message()) is not None:
            self.take(message, meter, None)

    def take(self, message: Brought, meter: Meter, running: Asked | None) -> tuple[Asked, Sample]:
        """Find out which stage's sample this is, and book what it used since its last message."""
        sample = message.sample
        owner = self._owner(sample, running)
        used = self._usage(message, owner)
        before = self._used.get(sample.sample_id, Usage())
        used = used.at_least(before)
        self._used[sample.sample_id] = used
        meter.add(owner.backend, used.since(before))
        self._owners[sample.sample_id] = owner
        index = owner.numbers.setdefault(sample.sample_id, len(owner.numbers))
        if sample.finished:
            self._ended.add(sample.sample_id)
            owner.growing.discard(sample.sample_id)
            owner.ended += 1
        else:
            owner.growing.add(sample.sample_id)
        return owner, replace(
            sample,
            backend=owner.backend,
            stage=owner.call.stage,
            index=index,
            tokens_in=used.tokens_in,
            tokens_cached=used.tokens_cached,
            tokens_out=used.tokens_out,
            tokens_reasoning=used.tokens_reasoning,
            usage_estimated=message.usage is None,
            prefix_tokens=None if sample.finished else used.tokens_out,
        )

    async def _message(self) -> Brought | None:
        if self.over:
            return None
        message = await self._messages.get()
        if isinstance(message, RouterError):
            raise message
        self.over = message is None
        return message

    def _owner(self, sample: Sample, running: Asked | None) -> Asked:
        name = sample.sample_id
        if name in self._ended:
            raise InvalidQuery("sample.sample_id", f"sample {name!r} has ended", "a new id for every sample")
        owner = self._owners.get(name)
        if owner is None:
            stages = [*([running] if running else []), *reversed(self._stages)]
            owner = next(
                (stage for stage in stages if stage.unseen and sample.backend in {"", stage.backend}), None
            )
        if owner is None:
            asked = ", ".join(dict.fromkeys(stage.backend for stage in self._stages if stage.unseen))
            raise InvalidQuery(
                "sample", f"no sample of backend {sample.backend!r} is waited for", asked or "none"
            )
        if sample.backend not in {"", owner.backend}:
            raise InvalidQuery("sample.backend", f"{name!r} is of another backend", owner.backend)
        return owner

    def _usage(self, message: Brought, owner: Asked) -> Usage:
        """What it used so far. A sample that ends without saying so has used the most that it could."""
        usage, seconds = message.usage, message.sample.latency_s
        if usage is None:
            return owner.worst if message.sample.finished else Usage(samples=1)
        unsaid = owner.worst.gpu_seconds if message.sample.finished else 0.0
        return replace(usage, samples=1, gpu_seconds=owner.gpu_share * seconds if seconds else unsaid)
