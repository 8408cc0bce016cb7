"""P(this sample is right), from the sample, the votes so far and what was expected of its backend.

One head for all backends, which are told apart by an indicator, and heads of single backends, fitted on their samples
alone, where these judge better: what a wrong answer looks like is a matter of who writes. A ridge on the words of the
answer gives one more feature. The head blends the prior (P(right) of the backend for this query), logistic regression,
and boosted trees with and without the prior among their features (it may be mostly noise); it is calibrated on held-out
queries. Where a regression has seen more (`joint_probe`), what it said is a feature and stands for the head's own.
The regression reads the words themselves, the trees one number that a ridge makes of them. (Bundles of before have a
regression that reads this number, too.)
When it fails: an answer that is wrong in content alone, well written and with sums that hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import log
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors.answer_words import AnswerWords
from predictors.calibration import Curve
from predictors.errors import BundleError
from predictors.hashed import HashedRidge
from predictors.linear import Linear
from predictors.observation import Sample, Tally
from predictors.packing import packed, unpacked
from predictors.sample_features import NAMES, sample_features
from predictors.trees import Trees
from predictors.word_regression import WordRegression

if TYPE_CHECKING:
    from predictors.state_head import StateHead

Floats = NDArray[np.float64]
MEMBERS = ("base", "prior", "linear", "trees", "blind_trees")
_PRIORS = 2  # last columns of a row: the prior and its logit, which the blind trees do not see
_SAID = -3  # before these: what the words say
TOLD = -5  # before these and the words: a probability and its logit, of a regression that saw more


def sample_row(
    backends: Sequence[str], sample: Sample, query_text: str, tally: Tally, position: int, tokens: float
) -> list[float]:
    """`sample_features` and an indicator of the backend (all 0 for one that was not fitted)."""
    numbers = sample_features(sample, query_text, tally, position, tokens)
    numbers.extend(float(sample.backend == backend) for backend in backends)
    return numbers


def as_alone(sample: Sample) -> tuple[Sample, Tally]:
    """A finished sample as if it were the only one, and the votes then: its own."""
    if sample.answer is None:
        return sample, Tally(drawn=1)
    return replace(sample, answer_class=0), Tally((1,), (sample.answer,), 1)


def complete_rows(
    x: NDArray[np.float32], hashed: HashedRidge, words: Sequence[NDArray[np.int64]], prior: Floats
) -> NDArray[np.float32]:
    """What the members see: `sample_row`s (m, d), what the words say, the prior and its logit; (m, d + 3)."""
    said = [word_score(hashed, buckets) for buckets in words]
    return np.column_stack([x, said, prior_columns(prior)]).astype(np.float32)


def prior_columns(prior: Floats) -> Floats:
    """`bounded` of each of m priors, (m, 2)."""
    return np.array([bounded(one) for one in prior.tolist()]).reshape(-1, _PRIORS)


def bounded(prior: float) -> tuple[float, float]:
    """The prior and its logit, both within bounds."""
    p = min(max(prior, 1e-3), 1 - 1e-3)
    return p, log(p / (1 - p))


def regression(
    linear: WordRegression | Linear | None, rows: NDArray[np.float32], words: Sequence[NDArray[np.int64]]
) -> Floats:
    """What the linear member says of `complete_rows` (m, d) and the buckets of their words, (m,)."""
    if linear is None:
        return rows[:, TOLD].astype(np.float64)
    return linear.predict(rows) if isinstance(linear, Linear) else linear.many(wordless(rows), words)


def wordless(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows (…, d) without what the ridge made of the words."""
    return np.concatenate([rows[..., :_SAID], rows[..., _SAID + 1 :]], axis=-1)


def blind(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows (…, d) without what was expected of the backend."""
    return rows[..., :-_PRIORS]


@dataclass(frozen=True, slots=True)
class SampleHead:
    """The fitted head."""

    backends: tuple[str, ...]
    base: float  # mean reward of the samples it was fitted on
    blend: Floats = field(compare=False)  # (5,): weights of `MEMBERS`
    hashed: HashedRidge = field(compare=False)  # words of the answer -> P(right), one target
    linear: WordRegression | Linear | None = field(compare=False)  # None: what the column `TOLD` says
    trees: Trees | None = field(compare=False)
    blind_trees: Trees | None = field(compare=False)
    curve: Curve = field(compare=False)
    states: StateHead | None = field(default=None, compare=False)  # judges samples with hidden states
    # backend -> judges its samples
    own: Mapping[str, SampleHead] = field(default_factory=dict, compare=False)
    words: AnswerWords = field(default_factory=AnswerWords, compare=False, repr=False)

    def predict(
        self,
        sample: Sample,
        query_text: str,
        tally: Tally,
        position: int,
        prior: float | None,
        tokens: float,
        extra: Sequence[float] = (),
    ) -> float:
        """The calibrated probability in [0, 1]; `prior` None: the base rate; `extra`: features beyond `sample_row`."""
        if self.states is not None:
            seen = self.states.predict(sample, query_text, tally, position, prior, tokens)
            if seen is not None:
                return seen
        row = sample_row(self.backends, sample, query_text, tally, position, tokens)
        return self.of_row(sample.backend, [*row, *extra], self.words(sample.text), prior)

    def alone(
        self, sample: Sample, query_text: str, prior: float | None, tokens: float, extra: Sequence[float] = ()
    ) -> float:
        """The same for a finished sample as if it were the only one: its own vote is all there is."""
        only, tally = as_alone(sample)
        return self.predict(only, query_text, tally, 0, prior, tokens, extra)

    def of_row(
        self, backend: str, numbers: Sequence[float], buckets: NDArray[np.int64], prior: float | None
    ) -> float:
        """The same from a backend's `sample_row`, with what is beyond it, and the buckets of the answer's words."""
        own = self.own.get(backend)
        if own is not None:
            return own.of_row(backend, numbers, buckets, prior)
        known = self.base if prior is None else prior
        row = np.array([*numbers, word_score(self.hashed, buckets), *bounded(known)], dtype=np.float32)
        raw = self.blend[0] * self.base + self.blend[1] * known
        if self.blend[2] > 0:
            raw += self.blend[2] * self._regression_of(row, buckets)
        if self.trees is not None:
            raw += self.blend[3] * self.trees.row(row)
        if self.blind_trees is not None:
            raw += self.blend[4] * self.blind_trees.row(blind(row))
        return self.curve.at(float(raw))  # numpy would give the lock away for one number

    def _regression_of(self, row: NDArray[np.float32], buckets: NDArray[np.int64]) -> float:
        """`regression` of one row (d,), to the last bit."""
        if self.linear is None:
            return float(row[TOLD])
        return (
            self.linear.row(row)
            if isinstance(self.linear, Linear)
            else self.linear.one(wordless(row), buckets)
        )

    def many(self, x: NDArray[np.float32], words: Sequence[NDArray[np.int64]], prior: Floats) -> Floats:
        """The same for m samples: their `sample_row` (m, d), the buckets of their words, the priors (m,)."""
        raw = self.blend[0] * self.base + self.blend[1] * prior
        rows = complete_rows(x, self.hashed, words, prior)
        if self.blend[2] > 0:
            raw = raw + self.blend[2] * regression(self.linear, rows, words)
        if self.trees is not None:
            raw = raw + self.blend[3] * self.trees.predict(rows)
        if self.blind_trees is not None:
            raw = raw + self.blend[4] * self.blind_trees.predict(blind(rows))
        found = np.asarray(self.curve(raw), dtype=np.float64)
        for backend, head in self.own.items():
            mine = rows_of_backend(x, self.backends.index(backend))
            found[mine] = head.many(x[mine], [words[row] for row in mine], prior[mine])
        return found

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned."""
        parts: dict[str, Mapping[str, NDArray[Any]]] = {
            "head": {"base": np.array([self.base]), "blend": self.blend},
            "hashed": self.hashed.arrays(),
            "curve": self.curve.arrays(),
        }
        for name, member in (("linear", self.linear), ("trees", self.trees), ("blind", self.blind_trees)):
            if member is not None:
                parts[name] = member.arrays()
        if self.states is not None:
            parts["states"] = self.states.arrays()
        for backend, head in self.own.items():
            parts[f"own/{self.backends.index(backend)}"] = head.arrays()
        return packed(parts)

    @classmethod
    def from_arrays(
        cls,
        backends: tuple[str, ...],
        arrays: Mapping[str, NDArray[Any]],
        extra: int = 0,
        *,
        told: bool = False,
    ) -> Self:
        """The inverse of `arrays`, `extra` features beyond `sample_row`, `told`: no linear member of its own.

        Raises `BundleError` for what does not fit.
        """
        shared = cls._alone(backends, arrays, extra, told)
        own = {
            backend: cls._alone(backends, found, extra, told, shared.words)
            for place, backend in enumerate(backends)
            if (found := unpacked(arrays, f"own/{place}"))
        }
        of_states, states = unpacked(arrays, "states"), None
        if of_states:
            from predictors.state_head import StateHead

            states = StateHead.from_arrays(backends, of_states)
        return replace(shared, own=own, states=states)

    @classmethod
    def _alone(
        cls,
        backends: tuple[str, ...],
        arrays: Mapping[str, NDArray[Any]],
        extra: int,
        told: bool,
        words: AnswerWords | None = None,
    ) -> Self:
        """Without heads of single backends and of states."""
        plain, hashed = unpacked(arrays, "head"), HashedRidge.from_arrays(unpacked(arrays, "hashed"))
        linear = None if told else _linear(unpacked(arrays, "linear"))
        curve = Curve.from_arrays(unpacked(arrays, "curve"))
        trees, blind_trees = (
            Trees.from_arrays(found) if found else None
            for found in (unpacked(arrays, "trees"), unpacked(arrays, "blind"))
        )
        width = len(NAMES) + len(backends) + extra + 1 + _PRIORS
        widths = (
            width if linear is None else _width(linear),
            width if trees is None else trees.columns,
            width if blind_trees is None else blind_trees.columns + _PRIORS,
        )
        if widths != (width,) * 3 or plain["blend"].shape != (len(MEMBERS),) or len(hashed.mean) != 1:
            raise BundleError(f"sample head: {widths} features; {width} are expected")
        base, words = float(plain["base"][0]), words or AnswerWords()
        return cls(backends, base, plain["blend"], hashed, linear, trees, blind_trees, curve, words=words)


def _linear(arrays: Mapping[str, NDArray[Any]]) -> WordRegression | Linear:
    if not arrays:
        raise BundleError("sample head: its linear member is missing")
    of_before = "coef" in arrays
    return Linear.from_arrays(arrays) if of_before else WordRegression.from_arrays(arrays)


def _width(linear: WordRegression | Linear) -> int:
    """Of the complete rows that it reads."""
    return len(linear.mean) if isinstance(linear, Linear) else len(linear.row.mean) + 1


def rows_of_backend(x: NDArray[np.float32], place: int) -> NDArray[np.int64]:
    """Which of the `sample_row`s (m, d) are of the backend at `place`."""
    return np.flatnonzero(x[:, len(NAMES) + place] > 0)


def word_score(hashed: HashedRidge, buckets: NDArray[np.int64]) -> float:
    """What the words alone say, in [0, 1]."""
    return float(min(1.0, max(0.0, hashed.scores(buckets)[0])))
