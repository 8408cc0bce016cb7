"""P(this sample is right) where its hidden states are known: what a probe says of them, beside all other features.

A probe per backend reads the states; its probability and logit are two more features of a sample head that was fitted
on samples with states. Samples without are not its business: the head without states judges them. Probes on the
prompt's state alone say, once a first sample has brought it, whether this backend will be right and whether two of its
samples will agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from numpy.typing import NDArray

from predictors.observation import Sample, Tally
from predictors.packing import packed, unpacked
from predictors.sample_head import SampleHead, bounded
from predictors.state_probe import StateProbe

EXTRA = 2  # features of a state
PROMPT = ("prompt_last", "value_prompt_last")  # the parts that are known before the first token


@dataclass(frozen=True, slots=True)
class StateHead:
    """The fitted head. A backend without a probe is not judged by it."""

    probes: Mapping[str, StateProbe] = field(compare=False)  # backend -> of the finished sample
    head: SampleHead = field(compare=False)
    right: Mapping[str, StateProbe] = field(default_factory=dict, compare=False)  # of the prompt: P(right)
    agree: Mapping[str, StateProbe] = field(default_factory=dict, compare=False)  # P(two samples agree)

    def predict(
        self, sample: Sample, query_text: str, tally: Tally, position: int, prior: float | None, tokens: float
    ) -> float | None:
        """The calibrated probability in [0, 1]; None where the sample has no state that a probe was fitted on."""
        probe = self.probes.get(sample.backend)
        said = None if probe is None or sample.hidden is None else probe.one(sample.hidden, sample.pieces)
        if said is None:
            return None
        return self.head.predict(sample, query_text, tally, position, prior, tokens, bounded(said))

    def of_prompt(self, sample: Sample) -> dict[str, float]:
        """`p_right_state/B` and `p_agree/B` from the prompt's state that a sample of B has brought."""
        found: dict[str, float] = {}
        if sample.hidden is None:
            return found
        for name, probes in (("p_right_state", self.right), ("p_agree", self.agree)):
            probe = probes.get(sample.backend)
            said = None if probe is None else probe.one(sample.hidden, sample.pieces)
            if said is not None:
                found[f"{name}/{sample.backend}"] = said
        return found

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned."""
        parts = {"head": self.head.arrays()}
        for kind in ("probes", "right", "agree"):
            for backend, probe in getattr(self, kind).items():
                parts[f"{kind}/{self.head.backends.index(backend)}"] = probe.arrays()
        return packed(parts)

    @classmethod
    def from_arrays(cls, backends: tuple[str, ...], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The inverse of `arrays`; raises `BundleError` for what does not fit."""
        kinds: dict[str, dict[str, StateProbe]] = {"probes": {}, "right": {}, "agree": {}}
        for kind, found in kinds.items():
            for place, backend in enumerate(backends):
                own = unpacked(arrays, f"{kind}/{place}")
                if own:
                    found[backend] = StateProbe.from_arrays(own)
        head = SampleHead.from_arrays(backends, unpacked(arrays, "head"), EXTRA)
        return cls(kinds["probes"], head, kinds["right"], kinds["agree"])
