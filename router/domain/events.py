"""What happens while a query is answered, in order: Started, then any of the others, last Done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from predictors.observation import Sample, TokenLogprob
    from router.domain.decision import Decision
    from router.domain.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Started:
    """The plan is drawn and its worst case reserved."""

    decision_id: str
    plan: str
    streams: bool  # the plan commits at the first token
    bundle: str = ""  # version, or "" without one
    degraded: tuple[str, ...] = ()  # what is known by now not to be as it should


@dataclass(frozen=True, slots=True)
class CallPiece:
    """A piece of the tool call number `index`: its id and name come first, its arguments in pieces."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a growing sample, as a backend sends it; its text is not yet the answer."""

    sample_id: str
    text: str = ""
    reasoning: str = ""
    tokens: int = 1
    backend: str = ""
    calls: tuple[CallPiece, ...] = ()
    token_logprobs: tuple[TokenLogprob, ...] = ()  # of `text`, where the query asks for them

    @property
    def says(self) -> bool:
        """Whether there is anything in it that a caller sees."""
        return bool(self.text or self.reasoning or self.calls)


@dataclass(frozen=True, slots=True)
class AnswerDelta:
    """Committed text: part of the final answer, never taken back."""

    text: str
    reasoning: str = ""
    calls: tuple[CallPiece, ...] = ()
    token_logprobs: tuple[TokenLogprob, ...] = ()  # of `text`


@dataclass(frozen=True, slots=True)
class SampleEnded:
    """A sample is complete, with its answer and class."""

    sample: Sample


@dataclass(frozen=True, slots=True)
class Judged:
    """The stage's rule spoke."""

    stage: int
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class Done:
    """The end: the logged row, all samples, and those chosen as answers (best first)."""

    decision: Decision
    samples: tuple[Sample, ...]
    answers: tuple[Sample, ...]
    looks: tuple[Sample, ...] = ()  # at growing samples, with their tentative answers, in order


Event = Started | Delta | AnswerDelta | SampleEnded | Judged | Done
