"""`apportion …` and `python -m router …`: the service, its tools, and everything of training."""

from __future__ import annotations

import importlib
import io
import os
import sys

from predictors.errors import PredictorError
from router.command_group import CommandGroup, command_line
from router.commands import COMMANDS
from router.errors import RouterError

ABOUT = """Spend compute where it pays: which model, how many samples and when to stop, for every query.

    apportion check router.toml
    apportion serve --config router.toml
    apportion ask "What is 17 * 23?"
"""


def commands() -> CommandGroup:
    """Everything that `apportion` can do."""
    training = importlib.import_module("training.commands")  # by name: the router imports nothing of training
    panels = {"Serving": COMMANDS, "Training": training.COMMANDS}
    return command_line("apportion", ABOUT, panels, (RouterError, PredictorError, *training.ERRORS))


def main() -> None:
    """Run the command line."""
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # its notes on connections that end are no news here
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a locale without ± must not end a command
    sys.exit(commands().main(prog_name="apportion"))


if __name__ == "__main__":
    main()
