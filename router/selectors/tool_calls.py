"""The tool calls that most samples want made."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from predictors.observation import Sample, Signals, Tally
from router.answers import canonical
from router.selectors import Selection, Selector
from router.selectors.majority import Majority
from router.selectors.vote_groups import ranked_answers


@dataclass(frozen=True, slots=True)
class ToolCalls(Selector):
    """Samples that call the same tools with equal arguments are one answer; most votes first, then the earliest.

    Arguments are compared as canonical JSON: order of keys, white space and 1.0 for 1 do not matter; calls of one
    sample are compared in their order, their ids are not. Samples without calls vote by their answers, beside them.
    Without any call it is the majority. Fails where equal calls are worded differently (a search's text, a date's
    form), and where a tool may be called in any order.
    """

    def select(self, samples: Sequence[Sample], tally: Tally, signals: Signals) -> Selection:
        """The earliest sample of the most wanted calls first."""
        if not any(sample.tool_calls for sample in samples):
            return Majority().select(samples, tally, signals)
        groups: dict[Hashable, list[Sample]] = {}
        for sample in samples:
            wanted = calls_of(sample)
            if wanted is not None:
                groups.setdefault(wanted, []).append(sample)
        votes = {key: float(len(group)) for key, group in groups.items()}
        return ranked_answers(samples, groups, votes, signals)


def calls_of(sample: Sample) -> Hashable | None:
    """What a sample votes for: its calls, else its answer class; None: nothing."""
    if sample.tool_calls:
        return tuple((call.name, canonical(call.arguments or "{}", "json")) for call in sample.tool_calls)
    return sample.answer_class
