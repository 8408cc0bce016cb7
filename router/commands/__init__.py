"""What `apportion` can do besides training. To add a command, write a function here and give it a line in `COMMANDS`.

A command is a function with typer's annotations; the first line of its docstring is its line in `apportion --help`.
"""

from __future__ import annotations

COMMANDS = {
    "serve": "router.commands.serve:serve",
    "check": "router.commands.check:check",
    "ask": "router.commands.ask:ask",
    "outcome": "router.commands.outcome:outcome",
    "decisions": "router.commands.decisions:decisions",
    "plans": "router.commands.plans:plans",
    "backends": "router.commands.backends:backends",
    "status": "router.commands.status:status",
    "mode": "router.commands.mode:mode",
    "stub-server": "router.backends.stub_server:stub_server",
    "version": "router.commands.version:version",
}
