"""Everything learned, behind the two methods that the router sees; `bundle_files` reads and writes it.

Holds no prices that matter: costs are computed by the router from token counts at today's prices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from predictors import Look
from predictors.backend_rewards import expected_rewards, gain_rows
from predictors.card import BundleCard
from predictors.deciding import Deciding
from predictors.evidence import evidence
from predictors.exits import EVERYWHERE, Looks, exits_of
from predictors.features import Featurizer
from predictors.lengths import Lengths
from predictors.observation import Observation, Query, Signals
from predictors.plan_heads import PlanHeads, plan_inputs
from predictors.query_heads import QueryHeads
from predictors.sample_head import SampleHead
from predictors.typical_queries import TypicalQueries

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A fitted `Predictions`; immutable and thread-safe."""

    card: BundleCard
    featurizer: Featurizer = field(compare=False)
    query_heads: QueryHeads = field(compare=False)  # p_correct of every backend, then gains of `card.pairs`
    rho: Floats = field(compare=False)  # (backends,) correlation of two samples of one query
    lengths: Lengths = field(compare=False)
    sample_head: SampleHead | None = field(default=None, compare=False)
    plan_heads: PlanHeads | None = field(default=None, compare=False)
    deciding: Deciding = field(default=Deciding(), compare=False)
    _pairs: list[tuple[int, int]] = field(init=False, repr=False, compare=False)  # `card.pairs` by number
    _named: tuple[str, ...] = field(init=False, repr=False, compare=False)  # signals, in the order of `name`

    def __post_init__(self) -> None:
        object.__setattr__(self, "_named", tuple(signal_names(self.card.backends)))
        place = {name: number for number, name in enumerate(self.card.backends)}
        object.__setattr__(self, "_pairs", [(place[one], place[other]) for one, other in self.card.pairs])

    @property
    def version(self) -> str:
        """The card's."""
        return self.card.version

    @property
    def typical(self) -> TypicalQueries | None:
        """Queries like those it was fitted on."""
        return self.deciding.typical

    def look(self, query: Query) -> Look:
        """See `Predictions.look`."""
        features = self.featurizer(query)
        return Look(self.name(*self.query_heads.predict(features)), features.dense)

    def name(self, heads: Floats, row: NDArray[np.float32], tokens: Floats | None = None) -> dict[str, float]:
        """What `QueryHeads.predict` gives as signals, with all that follows from it.

        `tokens` (backends,): expected ones, where the query's own length was known to the fit.
        """
        backends = self.card.backends
        right = heads[: len(backends)]
        two_right = right * right + self.rho * (right - right * right)
        expected, upper = self.lengths.predict(row)
        expected = expected if tokens is None else tokens
        values: list[float] = []
        for four in zip(right.tolist(), two_right.tolist(), expected.tolist(), upper.tolist(), strict=True):
            values += four
        shares = heads.tolist()
        known = shares[: len(backends)]
        gains = gain_rows([2.0 * one - 1.0 for one in shares[len(backends) :]], self._pairs, known)
        # corrected gains have the difference of P(right) in them
        share = 0.5 if self.query_heads.levels is None else 1.0
        rewards = expected_rewards(known, gains, share)
        for number, (reward, over) in enumerate(zip(rewards, gains, strict=True)):
            values += (reward, *over[:number], *over[number + 1 :])
        found = dict(zip(self._named, values, strict=True))
        if self.plan_heads is not None:
            found.update(self.plan_heads.predict(plan_inputs(heads, two_right, row)))
        found.update(self.deciding.first_look(right))
        return found

    def look_many(self, texts: Sequence[str]) -> dict[str, Floats]:
        """Signal name -> one value per text, (texts,): bit for bit what `look` says of each as a single user turn."""
        rows = [self.name(*self.query_heads.predict(self.featurizer.of_text(text))) for text in texts]
        return {name: np.array([row[name] for row in rows]) for name in (rows[0] if rows else {})}

    def confidence(self, seen: Observation, look: Look) -> Signals:
        """See `Predictions.confidence`."""
        latest = seen.latest
        if latest is None or self.sample_head is None:
            return {}
        prior = look.signals.get(f"p_correct/{latest.backend}")
        tokens = look.signals.get(f"tokens_out/{latest.backend}", 0.0)
        value = self.sample_head.predict(
            latest,
            seen.query.text,
            seen.tally,
            max(0, seen.tally.drawn - 1) if latest.finished else seen.tally.drawn,
            prior,
            tokens,
        )
        found = {"sample_confidence": value, f"sample_confidence/{latest.sample_id}": value}
        if self.sample_head.states is not None:
            found.update(self.sample_head.states.of_prompt(latest))
        believed = self.deciding.stops.belief(latest.backend)
        if believed and prior is not None and latest.finished:
            only = seen.tally.drawn == 1
            alone = value if only else self.sample_head.alone(latest, seen.query.text, prior, tokens)
            found[f"evidence/{latest.sample_id}"] = evidence(alone, prior, believed)
        found.update(self.deciding.after(latest.backend, look.signals, value))
        return found

    def growing(self, seen: Observation) -> Signals:
        """What stopping the latest sample, which grows, would mean; nothing for backends without known traces."""
        latest = seen.latest
        exits = None if latest is None else exits_of(self.deciding.exits, latest.backend)
        return {} if latest is None or exits is None else exits.signals(seen, latest)

    def exit_threshold(self, backend: str, risk: float, looks: Looks = EVERYWHERE) -> float | None:
        """The least `safe_to_stop` at which traces may end that are looked at there; None: none keeps the risk."""
        exits = exits_of(self.deciding.exits, backend)
        return None if exits is None else exits.threshold(risk, looks)

    def risk_threshold(self, first: str, then: str, risk: float) -> float | None:
        """The lowest confidence at which `first`'s answer may be kept instead of asking `then`; None: there is none."""
        risks = self.deciding.risks
        return None if risks is None else risks.threshold(first, then, risk)

    def learned_stop(self, backend: str, most: int) -> tuple[tuple[float, ...], float] | None:
        """Weights over votes and the least gain that pays, in stages of `most` samples; None: none was learned."""
        found = self.deciding.stops.vote_stop(backend, most)
        return None if found is None else (found.weights, found.least)

    def self_eval(self, backend: str, words: str) -> tuple[float, float] | None:
        """Slope and shift of the log-odds of what the backend says to this question; None: none were learned."""
        found = self.deciding.stops.self_eval(backend, words)
        return None if found is None else (found.slope, found.shift)

    def check(self, backends: Sequence[str], plans: Mapping[str, str]) -> list[str]:
        """What the configuration has that this bundle knows nothing of, in words; empty where all fits.

        `plans`: plan name -> digest. None of these stops the service: what is unknown is served untrained.
        """
        card = self.card
        found = [
            f"backend {name!r} is not in bundle {card.version}; it was fitted on {', '.join(card.backends)}"
            for name in backends
            if name not in card.backends
        ]
        for name, digest in plans.items():
            if digest in card.plans.values() or not card.plans:
                continue
            known = card.plans.get(name)
            changed = (
                f"its rules changed since (it was {known})" if known else f"it has {', '.join(card.plans)}"
            )
            found.append(f"plan {name!r} ({digest}) is not in bundle {card.version}; {changed}")
        return found


def signal_names(backends: Sequence[str]) -> Iterator[str]:
    """What is said of every backend, and of every backend against every other."""
    for backend in backends:
        yield from (
            f"{what}/{backend}" for what in ("p_correct", "p_two_correct", "tokens_out", "tokens_out_p90")
        )
    for backend in backends:
        yield f"reward/{backend}"
        yield from (f"gain/{backend}/{other}" for other in backends if other != backend)
