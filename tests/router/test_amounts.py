"""Amounts of money that commands take."""

from __future__ import annotations

import pytest

from router.command_group import CommandFailed
from router.commands.ask import ask
from router.commands.budget import budget


def test_an_amount_that_is_too_small_to_be_counted_is_not_taken_for_nothing():
    with pytest.raises(
        CommandFailed, match=r"--max-dollars: 1e-07 is less than 0\.000001, the smallest amount"
    ):
        ask("What?", max_dollars=1e-7)
    with pytest.raises(CommandFailed, match=r"--set: 1e-07 is less than 0\.000001, the smallest amount"):
        budget("all", "1e-7")
