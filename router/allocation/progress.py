"""What has happened so far to one query: samples, tally, signals, usage, and how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from predictors import Look, Predictions
from predictors.observation import Observation, Query, Sample, Signals, Tally
from predictors.untrained import Untrained
from router.domain.decision import Mode, Status
from router.domain.events import Delta
from router.domain.options import Options
from router.domain.plan import Commit, Plan, Stage
from router.domain.usage import Meter, Price, Usage
from router.errors import BackendError, RouterError
from router.first_decision.choose import Chosen
from router.ledger import Reservation
from router.selectors import Selection

OF_LATEST = ("sample_confidence", "going_on/")  # signals with a sample's id behind them stay with it


@dataclass(slots=True)
class Progress:
    """The state of one query while its plan runs. Only the allocator writes to it."""

    decision_id: str
    query: Query
    options: Options
    mode: Mode
    chosen: Chosen
    plan: Plan  # served: the drawn one, or what took its place
    started_s: float  # monotonic
    created_at: float  # seconds since the epoch
    deadline_s: float | None  # monotonic; a little before the caller's own
    # those it was begun with, whatever serves since
    predictions: Predictions = field(default_factory=Untrained)
    # by backend, when it was reserved: it is settled at them
    prices: Mapping[str, Price] = field(default_factory=dict)
    prices_since: str = ""  # their date
    charged: int = 0  # micro-dollars, by the ledger, at the end
    meter: Meter = field(default_factory=Meter)
    # expected besides: of a caller's samples that ran at the end
    unsaid: Meter = field(default_factory=Meter)
    reservations: list[Reservation] = field(default_factory=list)
    samples: dict[str, Sample] = field(default_factory=dict)  # by id, in order of latest arrival
    # number of the plan's first stage; grows when a stage begins again or another plan takes over
    stage_base: int = 0
    stage: int = 0  # number of the running stage
    entered: dict[int, Stage] = field(default_factory=dict)  # number -> the stage that began under it
    tally: Tally = field(default_factory=Tally)  # of the running stage
    looks: list[Sample] = field(default_factory=list)  # at growing samples that were asked for their answers
    look_classes: Tally = field(default_factory=Tally)  # of their tentative answers
    signals: dict[str, float] = field(default_factory=dict)
    # signals of the plan's stages: the price, what samples cost
    stage_costs: Sequence[Mapping[str, float]] = ()
    # sample id -> `sample_confidence` at its arrival
    confidence: dict[str, float] = field(default_factory=dict)
    of_latest: tuple[str, ...] = ()  # names of signals that are about the latest finished sample
    streamed: list[Delta] = field(default_factory=list)  # committed pieces of the only sample
    verified: str = ""  # id of a sample that passed the stage's verifier
    degraded: list[str] = field(default_factory=list)
    failed_backends: set[str] = field(default_factory=set)
    began_again: bool = False  # a stage of the plan, on another server of its backend
    failures: list[BackendError] = field(default_factory=list)  # that ended a stage, in order
    status: Status = Status.ANSWERED
    stop_reason: str = ""
    error: str = ""
    error_wordless: str = ""  # the same without a model server's own words
    selection: Selection | None = None
    first_text_s: float | None = None  # seconds after the start
    ended_s: float | None = None  # monotonic
    phases: dict[str, float] = field(default_factory=dict)  # how long each took, seconds
    lap_s: float | None = None  # monotonic, when the last one ended
    arrivals_s: dict[str, float] = field(default_factory=dict)  # finished sample -> seconds after the start

    def lap(self, phase: str, now_s: float) -> None:
        """A phase ended."""
        self.phases[phase] = now_s - (self.started_s if self.lap_s is None else self.lap_s)
        self.lap_s = now_s

    @property
    def expected_usage(self) -> Mapping[str, Usage]:
        """By backend, what was booked and what is expected besides: nothing, but for callers who draw themselves."""
        booked, unsaid = self.meter.by_backend, self.unsaid.by_backend
        if not unsaid:
            return booked
        return {name: usage + unsaid.get(name, Usage()) for name, usage in booked.items()}

    @property
    def look(self) -> Look:
        """The first look at the query."""
        return self.chosen.look

    @property
    def streams(self) -> bool:
        """Whether text is committed token by token."""
        return self.options.stream and self.query.answers == 1 and self.plan.commit is Commit.FIRST_TOKEN

    @property
    def out_of_reach(self) -> bool:
        """Whether the caller would rather have nothing than what can be expected of the plans."""
        return self.mode is Mode.APPLY and bool(self.chosen.abstains)

    def abstain(self) -> None:
        """End without having asked anything."""
        self.status, self.stop_reason = Status.ABSTAINED, f"abstained: {self.chosen.abstains}"
        self.selection = Selection((), None)

    def finished(self, stage: int | None = None) -> list[Sample]:
        """Finished samples, of one stage or of all, in order of arrival."""
        return [
            sample
            for sample in self.samples.values()
            if sample.finished and (stage is None or sample.stage == stage)
        ]

    def arrived(self, sample: Sample) -> None:
        """Keep a sample as the last that arrived, also where it takes the place of its own shorter self."""
        self.samples.pop(sample.sample_id, None)
        self.samples[sample.sample_id] = sample
        if sample.states and sample.hidden is None:
            said = f"hidden states of backend {sample.backend!r}: {sample.states}, logprobs took their place"
            if said not in self.degraded:
                self.degraded.append(said)

    def judged(self, sample: Sample, signals: Signals) -> None:
        """What is told of the latest sample; what was told of the one before is not about this one."""
        for name in self.of_latest:
            self.signals.pop(name, None)
        self.of_latest = tuple(
            name
            for name in signals
            if name.startswith(OF_LATEST) and not name.endswith(f"/{sample.sample_id}")
        )
        self.signals.update(signals)
        if "sample_confidence" in signals:
            self.confidence[sample.sample_id] = signals["sample_confidence"]

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Keep how the query ends where what runs within ends by an error, or because the caller left."""
        try:
            yield
        except RouterError as error:
            self.status, self.error = Status.FAILED, f"{error.reason}: {error}"
            wordless = error.wordless if isinstance(error, BackendError) else str(error)
            self.error_wordless = f"{error.reason}: {wordless}"
            error.decision_id = self.decision_id
            raise
        except (GeneratorExit, asyncio.CancelledError):
            self.status, self.error = Status.CANCELLED, "the caller left"
            raise

    def failed(self, backend: str, error: BackendError) -> None:
        """A stage ended by an error; others may take over."""
        self.degraded.append(f"backend {backend!r} failed: {error.wordless}")
        self.failures.append(error)

    def out_of_time(self) -> None:
        """The deadline passed while the plan ran."""
        self.status, self.stop_reason = Status.DEADLINE_CUT, "the deadline"
        self.degraded.append("the deadline passed before the plan ended")

    def enter(self, number: int, stage: Stage) -> None:
        """A stage begins."""
        self.stage, self.entered[number] = number, stage
        if self.stage_costs:
            self.signals.update(self.stage_costs[number - self.stage_base])
        self.tally = Tally()
        self.look_classes = Tally()

    def observation(self, stage: Stage, now_s: float) -> Observation:
        """What rules and predictors may look at now."""
        return Observation(
            query=self.query,
            samples=tuple(self.samples.values()),
            stage=self.stage,
            tally=self.tally,
            max_samples=stage.max_samples,
            elapsed_s=now_s - self.started_s,
            looks=tuple(look for look in self.looks if look.stage == self.stage),
            time_left_s=None if self.deadline_s is None else self.deadline_s - now_s,
        )

    def looked(self, sample: Sample) -> None:
        """Keep a look at a growing sample; its texts are those of the sample itself."""
        self.looks.append(replace(sample, text="", reasoning="", hidden=None))

    def close_growing(self) -> bool:
        """Turn what is still growing into finished samples that were cut; return whether any has an answer.

        So that they may answer if nothing else can. Their answers' classes are those of looks: they are counted anew.
        """
        if self.streamed and not self.samples:
            first = self.streamed[0]
            self.samples[first.sample_id] = Sample(
                sample_id=first.sample_id,
                backend=first.backend or self.plan.stages[0].backend,
                text="".join(delta.text for delta in self.streamed),
                reasoning="".join(delta.reasoning for delta in self.streamed),
                stage=self.stage,
                finished=False,
            )
        answered = False
        for sample_id, sample in self.samples.items():
            if not sample.finished:
                answered = answered or sample.answer is not None
                self.samples[sample_id] = replace(
                    sample, finished=True, finish_reason="cut", answer_class=None
                )
        return answered
