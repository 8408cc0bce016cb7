"""P(this sample is right) where its hidden states are known: what a probe says of them and of all other features.

A probe per backend, a logistic regression, reads the state with the sample's row and words; its probability and logit
are two more features of a sample head that was fitted on samples with states, and the probability is the head's linear
member. (Bundles of before have probes on states alone, and heads with a linear member of their own.) Samples without
are not its business: the head without states judges them. Probes on the prompt's state alone say, once a first sample
has brought it, whether this backend will be right and whether two of its samples will agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors.joint_probe import JointProbe
from predictors.observation import Sample, Tally
from predictors.packing import packed, unpacked
from predictors.sample_features import NAMES
from predictors.sample_head import SampleHead, bounded, prior_columns, sample_row
from predictors.state_probe import StateProbe

EXTRA = 2  # features of a state
PROMPT = ("prompt_last", "value_prompt_last")  # the parts that are known before the first token


@dataclass(frozen=True, slots=True)
class StateHead:
    """The fitted head. A backend without a probe is not judged by it."""

    probes: Mapping[str, JointProbe | StateProbe] = field(compare=False)  # backend -> of the finished sample
    head: SampleHead = field(compare=False)
    right: Mapping[str, StateProbe] = field(default_factory=dict, compare=False)  # of the prompt: P(right)
    agree: Mapping[str, StateProbe] = field(default_factory=dict, compare=False)  # P(two samples agree)

    def predict(
        self, sample: Sample, query_text: str, tally: Tally, position: int, prior: float | None, tokens: float
    ) -> float | None:
        """The calibrated probability in [0, 1]; None where the sample has no state that a probe was fitted on."""
        probe, head = self.probes.get(sample.backend), self.head
        if probe is None or sample.hidden is None:
            return None
        row = sample_row(head.backends, sample, query_text, tally, position, tokens)
        buckets = head.words(sample.text)
        if isinstance(probe, StateProbe):
            said = probe.one(sample.hidden, sample.pieces)
        else:
            known = bounded(head.base if prior is None else prior)
            seen = np.array([*row, *known], dtype=np.float32)
            said = probe.one(seen, buckets, sample.hidden, sample.pieces)
        if said is None:
            return None
        return head.of_row(sample.backend, [*row, *bounded(said)], buckets, prior)

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
        kinds: dict[str, dict[str, Any]] = {"probes": {}, "right": {}, "agree": {}}
        width = len(NAMES) + len(backends) + EXTRA  # of what a joint probe reads: a row and the prior
        for kind, found in kinds.items():
            for place, backend in enumerate(backends):
                own = unpacked(arrays, f"{kind}/{place}")
                if kind == "probes" and "joint/pieces" in own:
                    found[backend] = JointProbe.from_arrays(own, width)
                elif own:
                    found[backend] = StateProbe.from_arrays(own)
        told = any(isinstance(probe, JointProbe) for probe in kinds["probes"].values())
        head = SampleHead.from_arrays(backends, unpacked(arrays, "head"), EXTRA, told=told)
        return cls(kinds["probes"], head, kinds["right"], kinds["agree"])


def with_prior(x: NDArray[np.float32], prior: NDArray[np.float64]) -> NDArray[np.float32]:
    """What a joint probe reads of m samples beside words and states: `sample_row`s and the prior, (m, d + 2)."""
    return np.column_stack([x, prior_columns(prior)]).astype(np.float32)
