"""The reason of a stop names the rule that spoke, as configurations do."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from predictors.observation import Message, Observation, Part, Query, Sample, Tally
from router.domain.verdict import ENOUGH, MORE
from router.stopping import StoppingRule
from router.stopping.agreement import Agreement
from router.stopping.all_of import AllOf
from router.stopping.any_of import AnyOf
from router.stopping.never import Never
from router.stopping.not_before import NotBefore
from router.stopping.said_by import said_by
from router.stopping.token_cap import TokenCap


@dataclass(frozen=True)
class OfSomebodyElse(StoppingRule):
    reads_content = False

    def verdict(self, seen, signals):
        return ENOUGH


AGREE, CAP = Agreement(2), TokenCap(3)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (AGREE, "agreement"),
        (AnyOf((Never(), TokenCap(1000), AGREE, CAP)), "agreement"),
        (AnyOf((CAP, AGREE)), "token_cap"),
        (AllOf((AGREE, CAP)), "agreement and token_cap"),
        (NotBefore(AnyOf((Never(), AGREE)), 2), "agreement"),
        (AllOf((AnyOf((Never(), CAP)), AGREE)), "token_cap and agreement"),
        (OfSomebodyElse(), "OfSomebodyElse"),
    ],
)
def test_the_rule_that_spoke_is_named(rule, said):
    query = Query("r", (Message("user", (Part(text="?"),)),))
    samples = tuple(Sample(f"0.{number}", "small", "4", answer="4", tokens_out=2) for number in range(2))
    seen = Observation(query, samples, tally=Tally((2,), ("4",), 2), max_samples=4)
    assert rule.verdict(seen, {}) is not MORE
    assert said_by(rule, seen, {}) == said
