"""A mode that an operator set outlives a restart, and everybody who looks is told so."""

from __future__ import annotations

import time

from structlog.testing import capture_logs

from router.domain.decision import Mode
from router.modes import ModeRule

SAID = "the mode that an operator set overrides the configuration"


async def test_a_mode_that_outlives_a_restart_is_a_warning_at_the_start_and_in_the_status(serving):
    begun = time.time()
    async with serving(ledger="shared.db") as house:
        await house.admin.set_mode(Mode.BYPASS)
    with capture_logs() as lines:
        async with serving(ledger="shared.db") as house:
            found = await house.admin.status()
    (warned,) = (line for line in lines if line["event"] == SAID)
    assert (warned["log_level"], warned["mode"], warned["configured"]) == ("warning", "bypass", "apply")
    assert warned["to_end_it"] == "apportion mode apply"
    assert (found.mode, found.configured_mode) == (Mode.BYPASS, Mode.APPLY)
    assert found.mode_set_at is not None
    assert begun <= found.mode_set_at <= time.time()


async def test_a_mode_that_is_as_configured_again_is_no_warning(serving):
    async with serving(ledger="shared.db") as house:
        await house.admin.set_mode(Mode.BYPASS)
        await house.admin.set_mode(Mode.APPLY)
    with capture_logs() as lines:
        async with serving(ledger="shared.db"):
            pass
    assert SAID not in {line["event"] for line in lines}


async def test_a_changed_configuration_takes_the_place_of_what_was_set(serving):
    async with serving(ledger="shared.db") as house:
        await house.admin.set_mode(Mode.BYPASS)
    async with serving(ledger="shared.db", top='mode = "observe"') as house:
        found = await house.admin.status()
    assert (found.mode, found.configured_mode, found.mode_set_at) == (Mode.OBSERVE, Mode.OBSERVE, None)


async def test_the_status_lists_rules_in_the_order_in_which_they_are_asked(serving):
    async with serving() as house:
        await house.admin.set_mode(Mode.OBSERVE, tenant="a")
        await house.admin.set_mode(Mode.BYPASS, tenant="b", share=0.25)
        found = await house.admin.status()
    assert found.mode_rules == (ModeRule(Mode.BYPASS, "b", 0.25), ModeRule(Mode.OBSERVE, "a"))
