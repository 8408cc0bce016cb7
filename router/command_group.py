"""A command line of commands that are imported only when they are run; `--help` reads their first lines."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import re
import select
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

_BREAK_INSIDE = re.compile(r"(?<![.:\n])\n(?=\S)")  # of a sentence
_FIRST_LINE = r'^(?:async )?def {name}\(.*?"""(.*?)(?:\n|""")'

_ERRNO = re.compile(r"\[Errno -?\d+\] ")  # Python's, before the words that say it


class CommandFailed(Exception):
    """A command cannot go on; the message is all that its user needs."""


class LazyCommand(TyperCommand):
    """A name and a line of help, until it is run: then the function behind it is imported."""

    def __init__(self, name: str, target: str, panel: str) -> None:
        super().__init__(name, help=as_written(first_line(target)), rich_help_panel=panel)
        self.target = target

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context of the real command, which is what will be run."""
        command = load_command(self.name or "", self.target)
        for said in (command, *command.params):
            if getattr(said, "help", None):
                said.help = as_written(said.help)
        return command.make_context(info_name, args, parent, **extra)


def load_command(name: str, target: str) -> Any:
    """The command behind "module:function", a function with typer's annotations."""
    module, _, function = target.partition(":")
    app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
    app.command(name)(getattr(importlib.import_module(module), function))
    return typer.main.get_command(app)


def as_written(text: str) -> str:
    """For the help: what stands in brackets are our sections, as in [auth], and no markup; lines flow.

    A sentence that ends with its line keeps the break: what follows it begins a line of its own.
    """
    from rich.markup import escape

    return escape(_BREAK_INSIDE.sub(" ", inspect.cleandoc(text)))


def first_line(target: str) -> str:
    """The first line of a function's docstring, read from its source without importing it."""
    module, _, function = target.partition(":")
    source = _source_of(module)
    if source is None:
        return ""
    match = re.search(_FIRST_LINE.format(name=re.escape(function)), source, re.DOTALL | re.MULTILINE)
    return match[1].strip() if match else ""


def available(table: Mapping[str, str]) -> dict[str, str]:
    """The commands whose functions are there."""
    return {name: target for name, target in table.items() if _is_there(target)}


class CommandGroup(TyperGroup):
    """Sub-commands; the errors that are expected of them end in one line and exit code 1."""

    expected: tuple[type[Exception], ...] = ()

    def invoke(self, ctx: Any) -> Any:
        """Run the sub-command."""
        try:
            found = super().invoke(ctx)
            sys.stdout.flush()  # else what cannot be written is found out too late to be silent about
            return found
        except self.expected as error:
            if isinstance(error, BrokenPipeError) and _nobody_reads():
                raise typer.Exit(1) from None
            if ctx.params.get("debug"):
                raise
            typer.echo(_line(error), err=True)
            raise typer.Exit(1) from None


def command_line(
    prog: str,
    about: str,
    panels: Mapping[str, Mapping[str, str]],
    expected: tuple[type[Exception], ...],
) -> CommandGroup:
    """`prog` with the commands of `panels`: heading in the help -> command -> "module:function".

    `expected`: errors whose text is written for the user; all others are bugs and show where they come from.
    """
    app = typer.Typer(cls=CommandGroup, add_completion=False, pretty_exceptions_enable=False)

    @app.callback(no_args_is_help=True, help=about)
    def options(
        debug: bool = typer.Option(  # noqa: ARG001 (`invoke` looks at it)
            False, "--debug", help="Show where an error comes from (its traceback)."
        ),
        ca: str = typer.Option(
            "", envvar="APPORTION_CA", help="PEM: who vouches for the service asked; TLS is spoken then."
        ),
        cert: str = typer.Option(
            "", envvar="APPORTION_CERT", help="PEM: a certificate to show to a service that wants one."
        ),
        key: str = typer.Option("", envvar="APPORTION_KEY", help="PEM: the key of --cert."),
        wait: float | None = typer.Option(
            None,
            envvar="APPORTION_WAIT",
            min=0.0,
            help="Seconds to wait for a service where nothing listens yet. Default: 20; `status` waits 3.",
        ),
        version: bool = typer.Option(  # noqa: ARG001 (its callback does it)
            False, "--version", is_eager=True, callback=_say_version, help="Say which version this is."
        ),
    ) -> None:
        """Options of the whole command line."""
        said = {"APPORTION_CA": ca, "APPORTION_CERT": cert, "APPORTION_KEY": key}
        said["APPORTION_WAIT"] = "" if wait is None else str(wait)
        os.environ.update({name: value for name, value in said.items() if value})  # where a connection looks

    group = typer.main.get_command(app)
    assert isinstance(group, CommandGroup)  # noqa: S101 (typer makes what it is told to)
    group.name = prog
    group.expected = (*expected, CommandFailed, OSError, ImportError)
    for panel, table in panels.items():
        for name, target in available(table).items():
            group.add_command(LazyCommand(name, target, panel), name)
    return group


def _say_version(ctx: typer.Context, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"{ctx.command.name} {version(str(ctx.command.name))}")
        raise typer.Exit


def _is_there(target: str) -> bool:
    module, _, function = target.partition(":")
    source = _source_of(module)
    return (
        source is not None and re.search(rf"^(?:async )?def {function}\(", source, re.MULTILINE) is not None
    )


def _nobody_reads() -> bool:
    """Whether whoever read standard output has enough, as `head` has; then no more is said, not even at the end."""
    out = select.poll()
    out.register(sys.stdout.fileno(), 0)  # an error on it is told all the same
    if not out.poll(0):
        return False
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    return True


def _line(error: Exception) -> str:
    if isinstance(error, ImportError):
        return f"{error}; is the extra installed? (pip install '.[train]' in the checkout)"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror or error}"
    text, cause = _ERRNO.sub("", str(error)), error.__cause__
    if isinstance(cause, OSError) and cause.filename:
        without = text.replace(f": {cause.filename!r}", "")
        text = without if str(cause.filename) in without else text
    return text or type(error).__name__


def _source_of(module: str) -> str | None:
    """The source of a module that may not be there; its parent packages are imported, it is not."""
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:  # the package above
        return None
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).read_text(encoding="utf-8")
