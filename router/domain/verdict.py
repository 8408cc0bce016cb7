"""What a stopping rule may say about a running stage."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Action(Enum):
    """The four words of a stopping rule."""

    MORE = "more"  # keep sampling this stage
    ENOUGH = "enough"  # the answer is good enough: end the plan
    ESCALATE = "escalate"  # this stage will not do: go to the next
    PRUNE = "prune"  # drop some of the running samples, keep the others


@dataclass(frozen=True, slots=True)
class Verdict:
    """An action, with PRUNE the `sample_id`s to drop, with ENOUGH the growing ones to end with an answer."""

    action: Action
    prune: tuple[str, ...] = ()
    close: tuple[str, ...] = ()  # empty: the latest, if it grows


MORE = Verdict(Action.MORE)
ENOUGH = Verdict(Action.ENOUGH)
ESCALATE = Verdict(Action.ESCALATE)
