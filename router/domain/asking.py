"""What a selector or a rule asks of a backend beside the samples, and how much that can be at most."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from predictors.observation import Message, Part, Query, Sample, Signals, Tally

if TYPE_CHECKING:
    from router.selectors import Selection

BYTES = 2000  # of one text in a question, where nothing else is said


@dataclass(frozen=True, slots=True)
class Question:
    """One short call."""

    query: Query  # what the backend is asked
    max_tokens: int  # of the reply, >= 1
    logprobs: bool = False  # of the reply's tokens, with their alternatives


@dataclass(frozen=True, slots=True)
class Asks:
    """The most that one selection asks."""

    backend: str  # of the configuration
    calls: int
    max_tokens: int  # out, of one call
    prompt_bytes: int  # UTF-8, of one call, besides the query's own messages
    reads_query: bool = False  # every call is sent the whole conversation


class AskingSelector(Protocol):
    """A selector that asks. Its `select` is what holds where nobody may be asked, or nothing comes back."""

    @property
    def asks(self) -> Asks:
        """What it may cost."""
        ...

    def questions(
        self, query: Query, samples: Sequence[Sample], tally: Tally, signals: Signals
    ) -> Generator[tuple[Question, ...], tuple[Sample | None, ...], Selection]:
        """Yield questions that may be asked side by side, receive their replies (None: none came), return the choice.

        Asks within `asks`, and does no I/O: the allocator asks. The first sample may be a reply that it received.
        """
        ...


class AskingRule(Protocol):
    """A stopping rule that asks the backend of each finished sample one question about it.

    Its property `asking` says so: (self,); a rule made of rules has those of its members there.
    """

    @property
    def words(self) -> str:
        """The question, which comes behind the sample as a further user turn."""
        ...

    def heard(self, sample_id: str, reply: Sample) -> dict[str, float]:
        """The signals in a reply of one token; empty where it says nothing."""
        ...


RULE_TOKENS = 1  # of a reply to a rule


def asking_rules(rule: object) -> tuple[AskingRule, ...]:
    """The rules that ask, in this one and in those that it is made of."""
    found: tuple[AskingRule, ...] = getattr(rule, "asking", ())
    return found


def asks_of(selector: object) -> Asks | None:
    """The most that a selector asks; None: nothing."""
    found: Asks | None = getattr(selector, "asks", None)
    return found


def asking(query: Query, *turns: tuple[str, str]) -> Query:
    """The query with further turns (role, text); tools and formats are left out."""
    more = tuple(Message(role, (Part(text=text),)) for role, text in turns)
    return replace(query, messages=query.messages + more, tools=(), tool_choice="", response_format="")


def shortened(text: str, longest: int = BYTES) -> str:
    """The text in at most `longest` UTF-8 bytes; of a longer one the middle is left out.

    >>> shortened("a" * 30, 20)
    'aaaaaa […] aaaaaa'
    """
    written = text.encode("utf-8", "replace")
    if len(written) <= longest:
        return written.decode()
    gap = " […] "
    half = max(0, (longest - len(gap.encode())) // 2)
    start = written[:half].decode("utf-8", "ignore")
    return f"{start}{gap}{written[len(written) - half :].decode('utf-8', 'ignore')}"
