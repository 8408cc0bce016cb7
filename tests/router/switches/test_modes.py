"""How much cleverness is allowed."""

from __future__ import annotations

import pytest

from router.domain.decision import Mode
from router.switches.modes import ModeRule, Modes


def test_the_first_rule_that_matches_gives_the_mode():
    modes = Modes(Mode.APPLY, (ModeRule(Mode.BYPASS, "a"), ModeRule(Mode.OBSERVE)))
    assert modes.mode_for("a", "k", None) is Mode.BYPASS
    assert modes.mode_for("b", "k", None) is Mode.OBSERVE


def test_a_share_of_the_keys_gets_the_mode_and_a_key_always_the_same():
    modes = Modes(Mode.OBSERVE, (ModeRule(Mode.APPLY, share=0.3),))
    picked = [modes.mode_for("", f"k{n}", None) for n in range(5000)]
    assert picked.count(Mode.APPLY) / 5000 == pytest.approx(0.3, abs=0.03)
    assert picked == [modes.mode_for("", f"k{n}", None) for n in range(5000)]


def test_a_caller_may_be_less_clever_than_allowed_and_never_more():
    modes = Modes(Mode.OBSERVE)
    assert modes.mode_for("", "k", Mode.BYPASS) is Mode.BYPASS
    assert modes.mode_for("", "k", Mode.APPLY) is Mode.OBSERVE


def test_an_operators_bypass_ends_all_rules():
    modes = Modes(Mode.APPLY, (ModeRule(Mode.OBSERVE, "a"),))
    assert modes.set(Mode.BYPASS) is Mode.APPLY
    assert modes.mode_for("a", "k", None) is Mode.BYPASS


def test_a_share_of_0_ends_the_rules_of_that_tenant_alone():
    modes = Modes(Mode.APPLY, (ModeRule(Mode.OBSERVE, "a", 0.5), ModeRule(Mode.BYPASS, "b")))
    modes.set(Mode.APPLY, "a", 0.0)
    assert modes.rules == (ModeRule(Mode.BYPASS, "b"),)


def test_an_operators_word_on_a_tenant_leaves_the_others_alone():
    modes = Modes(Mode.APPLY)
    assert modes.set(Mode.BYPASS, "a") is Mode.APPLY
    assert modes.set(Mode.OBSERVE, "a") is Mode.BYPASS
    assert modes.mode_for("a", "k", None) is Mode.OBSERVE
    assert modes.mode_for("b", "k", None) is Mode.APPLY
