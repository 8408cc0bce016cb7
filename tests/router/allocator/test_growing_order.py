"""Samples that grow side by side: what arrived last is what is looked at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import ClassVar

from predictors.observation import Observation, Sample, Signals
from router.backends import Call, Capabilities
from router.domain.usage import Meter
from router.domain.verdict import MORE, Verdict
from router.stopping import StoppingRule


@dataclass
class Interleaved:
    """Yields these samples in this order: (id, text, finished)."""

    arrivals: tuple[tuple[str, str, bool], ...]
    name: str = "small"
    capabilities: Capabilities = field(default_factory=Capabilities)

    async def sample(self, call: Call, meter: Meter) -> AsyncIterator[Sample]:
        for sample_id, text, finished in self.arrivals:
            yield Sample(sample_id, self.name, text, finished=finished, finish_reason="stop" * finished)

    async def close(self) -> None:
        """Nothing to release."""


@dataclass(frozen=True)
class Looking(StoppingRule):
    """Goes on, and keeps what it saw as the latest."""

    seen: list[str] = field(default_factory=list)
    reads_content: ClassVar[bool] = True

    def verdict(self, seen: Observation, signals: Signals) -> Verdict:
        assert seen.latest is not None
        self.seen.append(seen.latest.text)
        return MORE


async def test_the_latest_sample_is_the_one_that_arrived_last_also_where_it_grew(build, ask, one):
    rule = Looking()
    world = build({"small": ["unused"]}, {"vote": [one("small", rule, max_samples=2)]})
    arrivals = (("0.0", "a", False), ("0.1", "b", False), ("0.0", "a a", False), ("0.1", "b b", True))
    world.allocator.backends["small"] = Interleaved((*arrivals, ("0.0", "a a a", True)))
    done = await world.done(ask())
    assert rule.seen == ["a", "b", "a a", "b b", "a a a"]
    assert [sample.text for sample in done.samples] == ["b b", "a a a"]
