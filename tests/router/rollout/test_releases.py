"""The places that bundles take, and how they leave them."""

from __future__ import annotations

import pytest

from router.errors import InvalidQuery
from router.rollout.releases import BundleState, Releases


def promoted(*steps: tuple[str, BundleState]) -> Releases:
    found = Releases()
    for at, (version, to) in enumerate(steps):
        found = found.promoted(version, to, at=float(at))
    return found


def test_a_bundle_goes_from_candidate_over_shadow_and_canary_to_active():
    found, seen = Releases(), []
    for at in range(3):
        seen.append(found.state("a"))
        found = found.promoted("a", at=float(at))
    assert [*seen, found.state("a")] == [
        BundleState.CANDIDATE,
        BundleState.SHADOW,
        BundleState.CANARY,
        BundleState.ACTIVE,
    ]


def test_who_is_active_is_retired_when_another_takes_its_place():
    found = promoted(("a", BundleState.ACTIVE), ("b", BundleState.ACTIVE))
    assert (found.active, found.state("a"), found.before) == ("b", BundleState.RETIRED, ("", "a"))


def test_a_canary_decides_for_its_share_and_the_active_one_for_the_rest():
    found = promoted(("a", BundleState.ACTIVE)).promoted("b", BundleState.CANARY, 0.2, at=1.0)
    assert (found.share("a"), found.share("b"), found.share("c")) == (0.8, 0.2, 0.0)


def test_a_second_canary_sends_the_first_away():
    found = promoted(("a", BundleState.CANARY), ("b", BundleState.CANARY))
    assert (found.canary, found.state("a")) == ("b", BundleState.RETIRED)


def test_rolling_back_ends_what_is_being_tried_and_leaves_the_active_one():
    found = promoted(("a", BundleState.ACTIVE), ("b", BundleState.CANARY)).rolled_back(at=9.0)
    assert (found.active, found.canary, found.canary_share) == ("a", "", 0.0)


def test_rolling_back_with_nothing_being_tried_goes_to_the_one_before():
    found = promoted(("a", BundleState.ACTIVE), ("b", BundleState.ACTIVE)).rolled_back(at=9.0)
    assert (found.active, found.state("b")) == ("a", BundleState.RETIRED)


def test_rolling_back_twice_ends_at_what_the_configuration_names():
    found = promoted(("a", BundleState.ACTIVE), ("b", BundleState.ACTIVE))
    found = found.rolled_back(at=8.0).rolled_back(at=9.0)
    assert found.active == ""
    with pytest.raises(InvalidQuery, match="nothing to roll back"):
        found.rolled_back(at=10.0)


def test_rolling_back_to_a_named_version_makes_it_active():
    found = promoted(*((version, BundleState.ACTIVE) for version in "abc")).rolled_back("a", at=9.0)
    assert (found.active, found.before) == ("a", ("", "b"))


def test_every_change_counts_up_and_is_remembered():
    found = promoted(("a", BundleState.SHADOW), ("a", BundleState.ACTIVE))
    assert found.number == len(found.steps) == 2


@pytest.mark.parametrize("to", [BundleState.CANDIDATE, BundleState.RETIRED])
def test_a_bundle_is_promoted_to_a_place_of_use_only(to):
    with pytest.raises(InvalidQuery, match="shadow, canary or active"):
        Releases().promoted("a", to, at=0.0)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5, float("nan")])
def test_a_share_of_a_canary_is_above_0_and_at_most_1(share):
    with pytest.raises(InvalidQuery, match="share"):
        Releases().promoted("a", BundleState.CANARY, share, at=0.0)


def test_the_active_bundle_is_not_made_a_canary():
    with pytest.raises(InvalidQuery, match="is active"):
        promoted(("a", BundleState.ACTIVE)).promoted("a", BundleState.CANARY, at=1.0)
