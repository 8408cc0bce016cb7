"""Stop growing samples when going on is worth less than it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from predictors.observation import Observation, Sample, Signals
from router.domain.growth import Growth
from router.domain.plan import LATER
from router.domain.verdict import MORE, Action, Verdict
from router.errors import ConfigError
from router.stopping import StoppingRule


class _Trace(NamedTuple):
    now: float  # P(right) if it is closed now
    end: float  # P(right) at its end
    cost: float  # quality that its remaining tokens cost
    left_s: float


@dataclass(frozen=True, slots=True)
class Utility(StoppingRule):
    """U(set of traces that go on) = E[max reward] - price x their remaining tokens - latency_price x the longest.

    ZIP-RC (2025), one step greedily: of `right_now/<id>`, `gain_left/<id>` and `tokens_left/<id>`
    (`predictors.exit_head`) the set is made smaller while dropping a trace raises U: PRUNE those dropped; where
    none is left, ENOUGH with the one that is most probably right. E[max] takes traces to be independent, and that the
    best one is found: it is too high for traces that share their mistakes. `price` is for a usual trace
    (`trace_tokens/<backend>`), at least the service's own `price` x `sample_cost/<backend>` (quality per $, micro-$).
    Fails without the signals, which need a bundle fitted on traces: then it says MORE. With `cues` it looks only where
    the text says one of them (`router.domain.cues`).
    """

    price: float = 0.03  # quality for the tokens of a usual trace, > 0
    latency_price: float = 0.0  # quality per second, >= 0
    tokens_per_second: float = 50.0  # of one trace, > 0
    first: int = 0  # tokens before the first look, >= 0
    every: int = 64  # tokens between looks, >= 1
    cues: tuple[str, ...] = field(default=(), metadata=LATER)  # words that a look waits for; none: every look

    reads_content: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("price", "tokens_per_second"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"utility: {name} must be above 0, got {getattr(self, name)}")
        for name, least in (("latency_price", 0), ("first", 0), ("every", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"utility: {name} must be at least {least}, got {getattr(self, name)}")
        if "" in self.cues:
            raise ConfigError("utility: cues must not be empty words")

    @property
    def growth(self) -> Growth:
        """Tentative answers."""
        return Growth(self.first, self.every, cues=self.cues)

    def verdict(self, seen: Observation, signals: Signals) -> Verdict:
        """MORE while it pays."""
        latest = seen.latest
        if latest is None or latest.finished or latest.answer_class is None:
            return MORE
        growing = [sample for sample in seen.stage_samples if not sample.finished]
        traces = {sample.sample_id: self._trace(sample, signals) for sample in growing}
        known = {name: trace for name, trace in traces.items() if trace is not None}
        if latest.sample_id not in known:
            return MORE
        done = [
            signals.get(f"sample_confidence/{sample.sample_id}", 0.0)
            for sample in seen.stage_samples
            if sample.finished
        ]
        best_done = max(done, default=0.0)
        best = max(known, key=lambda name: known[name].now)
        going = set(known)
        while going:
            worth = self.worth(known, going, done)
            name, without = max(
                ((name, self.worth(known, going - {name}, done)) for name in sorted(going)),
                key=lambda one: one[1],
            )
            if without < worth:
                break
            going.discard(name)
        if not going and len(known) == len(traces):
            if known[best].now >= best_done:
                return Verdict(Action.ENOUGH, close=(best,))
            return Verdict(Action.ENOUGH, prune=tuple(known))
        dropped = tuple(name for name in known if name not in going and name != best)
        return Verdict(Action.PRUNE, dropped) if dropped else MORE

    def worth(self, traces: Mapping[str, _Trace], going: AbstractSet[str], done: Sequence[float]) -> float:
        """U where these go on, the others end now, and samples that are right with `done` are finished."""
        missed = 1.0
        for right in done:
            missed *= 1 - right
        for name, trace in traces.items():
            missed *= 1 - (trace.end if name in going else trace.now)
        cost = sum(traces[name].cost for name in going)
        longest = max((traces[name].left_s for name in going), default=0.0)
        return 1 - missed - cost - self.latency_price * longest

    def _trace(self, sample: Sample, signals: Signals) -> _Trace | None:
        found = [
            signals.get(f"{name}/{sample.sample_id}") for name in ("right_now", "gain_left", "tokens_left")
        ]
        right, gain, left = found
        if right is None or gain is None or left is None:
            return None
        usual = signals.get(f"trace_tokens/{sample.backend}") or (sample.prefix_tokens or 0) + left
        service = signals.get("price", 0.0) * signals.get(f"sample_cost/{sample.backend}", 0.0) * 1e-6
        price = max(self.price, service)
        return _Trace(
            right,
            min(1.0, max(0.0, right + gain)),
            price * left / max(1.0, usual),
            left / self.tokens_per_second,
        )
