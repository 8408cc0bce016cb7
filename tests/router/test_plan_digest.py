"""The digest is the logged action: equal for equal stages, different for any threshold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from predictors.observation import Sampling
from router.domain.plan import Commit, Gate, Plan, Prompt, Stage
from router.selectors.first import First
from router.selectors.majority import Majority
from router.stopping.agreement import Agreement
from router.stopping.any_of import AnyOf
from router.stopping.confident import Confident
from router.stopping.converged import Converged
from router.stopping.never import Never
from router.stopping.safe_exit import SafeExit
from router.stopping.token_cap import TokenCap
from router.stopping.utility import Utility
from router.stopping.value_of_next import ValueOfNext

BASE = Stage("small", Never(), First())


def test_the_name_is_not_part_of_the_action():
    assert Plan("a", (BASE,)).digest == Plan("b", (BASE,)).digest


def test_the_digest_is_stable_across_versions_of_python():
    assert Plan("a", (BASE,)).digest == Plan("a", (Stage("small", Never(), First()),)).digest
    assert len(Plan("a", (BASE,)).digest) == 16


@pytest.mark.parametrize(
    "stage",
    [
        Stage("large", Never(), First()),
        Stage("small", Confident(0.8), First()),
        Stage("small", Confident(0.9), First()),
        Stage("small", Agreement(2), First()),
        Stage("small", AnyOf((Agreement(2), TokenCap(9))), First()),
        Stage("small", Never(), Majority()),
        Stage("small", Never(), First(), max_samples=2),
        Stage("small", Never(), First(), width=2),
        Stage("small", Never(), First(), prompt=Prompt("step", after="Think.")),
        Stage("small", Never(), First(), sampling=Sampling(temperature=0.5)),
        Stage("small", Never(), First(), gate=Gate("novelty", below=0.5)),
        Stage("small", Never(), First(), pool=True),
    ],
    ids=lambda stage: f"{stage.backend} {stage.stop}"[:60],
)
def test_anything_that_shapes_what_a_stage_does_is_another_action(stage):
    assert Plan("a", (stage,)).digest != Plan("a", (BASE,)).digest


@pytest.mark.parametrize(
    ("rule", "digest"),
    [
        (SafeExit(threshold=0.9), "331d2c731945379a"),
        (SafeExit(risk=0.1, every=16), "34ada8f781ed79e2"),
        (Converged(), "12adfb9dc260098b"),
        (Utility(price=0.1), "81ae342182d3c2d3"),
    ],
)
def test_an_option_that_came_later_changes_the_digest_only_where_it_is_used(rule, digest):
    """Logged before rules could wait for cues."""
    assert Plan("a", (Stage("small", rule, First()),)).digest == digest
    waiting = [replace(rule, cues=cues) for cues in ((), ("thus",), ("thus", "so,"))]
    found = [Plan("a", (Stage("small", one, First()),)).digest for one in waiting]
    assert found[0] == digest and len(set(found)) == 3


def test_rules_by_votes_of_before_samples_were_weighed_are_the_same_actions():
    def digest(rule: ValueOfNext) -> str:
        return Plan("a", (Stage("small", rule, First(), max_samples=4),)).digest

    assert digest(ValueOfNext()) == "dbb2cb585acb221d"
    assert digest(ValueOfNext(cost=0.01)) == "c7f40084cbac115c"
    assert digest(ValueOfNext(telling=0.2)) != digest(ValueOfNext(cost_weighed=0.02)) != digest(ValueOfNext())


@pytest.mark.parametrize(
    ("stages", "commit"),
    [
        ((BASE,), Commit.FIRST_TOKEN),
        ((Stage("small", TokenCap(9), First()),), Commit.FIRST_TOKEN),
        ((Stage("small", Confident(), First()),), Commit.AT_END),
        ((Stage("small", Never(), First(), max_samples=2),), Commit.AT_END),
        ((BASE, Stage("large", Never(), First())), Commit.AT_END),
    ],
)
def test_text_is_committed_at_once_only_where_nothing_can_change_it(stages, commit):
    assert Plan("a", stages).commit is commit
