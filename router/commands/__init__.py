"""What `apportion` can do besides training. To add a command, write a function here and give it a line in `COMMANDS`.

A command is a function with typer's annotations; the first line of its docstring is its line in `apportion --help`.
"""

from __future__ import annotations

COMMANDS = {
    "init": "router.commands.init:init",
    "doctor": "router.commands.doctor:doctor",
    "serve": "router.commands.serve:serve",
    "check": "router.commands.check:check",
    "ask": "router.commands.ask:ask",
    "outcome": "router.commands.ask:outcome",
    "allocate": "router.commands.allocate:allocate",
    "decisions": "router.commands.operators:decisions",
    "plans": "router.commands.operators:plans",
    "backends": "router.commands.operators:backends",
    "status": "router.commands.operators:status",
    "mode": "router.commands.operators:mode",
    "bundles": "router.commands.bundles:bundles",
    "budget": "router.commands.budget:budget",
    "usage": "router.commands.audit:usage",
    "audit": "router.commands.audit:audit",
    "store": "router.commands.store:store",
    "token": "router.commands.access_token:token",
    "metrics": "router.commands.metrics:metrics",
    "stub-server": "router.commands.stub_server:stub_server",
    "version": "router.commands.version:version",
}
