"""`apportion init`: from the addresses of model servers to a first router.toml."""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from router.errors import ConfigError, RouterError
from router.onboarding.first_config import first_config, refuse_to_overwrite, write_config
from router.onboarding.first_plans import Surveyed, cheapest_first, contradiction, first_plans
from router.onboarding.prices import prices_of
from router.onboarding.survey import Limits, greet, survey
from router.onboarding.survey_text import survey_json, survey_text
from router.onboarding.target import Target, read_targets


def init(
    backend: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=http://HOST:PORT, or NAME=URL#MODEL where it serves several; may be repeated."
        ),
    ] = None,
    gpu_dollars_per_hour: Annotated[
        list[str] | None,
        typer.Option(help="What the GPUs of every backend cost, or NAME=X for one. Gives prices per token."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("router.toml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite it.")] = False,
    api_key_env: Annotated[
        list[str] | None,
        typer.Option(help="The environment variable that holds the key, for all or NAME=VARIABLE."),
    ] = None,
    ca_file: Annotated[
        list[str] | None, typer.Option(help="Certificates (PEM) to trust, for all or NAME=FILE.")
    ] = None,
    proxy: Annotated[
        list[str] | None, typer.Option(help="http://HOST:PORT of a proxy, for all or NAME=URL.")
    ] = None,
    proxy_auth_env: Annotated[
        list[str] | None,
        typer.Option(help="The variable that holds the proxy's USER:PASSWORD, for all or NAME=VARIABLE."),
    ] = None,
    seconds: Annotated[float, typer.Option(min=2.0, max=600.0, help="Time for each backend.")] = 30.0,
    in_flight: Annotated[int, typer.Option(min=1, max=256, help="Requests at once at most.")] = 4,
    quick: Annotated[bool, typer.Option("--quick", help="10 seconds for each, coarser figures.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")] = False,
) -> None:
    """Ask model servers what they are, measure them, and write a first router.toml.

    About 20 small requests to each, one server after the other. Progress goes to standard error. Nothing is written
    where a server cannot be reached, and no file is overwritten without --force.
    """
    try:
        targets = read_targets(
            backend or [],
            dollars=gpu_dollars_per_hour or [],
            keys=api_key_env or [],
            ca_files=ca_file or [],
            proxies=proxy or [],
            proxy_logins=proxy_auth_env or [],
        )
        refuse_to_overwrite(out, force=force)
        limits = Limits.quick() if quick else Limits(seconds)
        limits = Limits(limits.seconds, in_flight, limits.tokens)
        servers = asyncio.run(_survey_all(targets, limits))
        ways = {target.name: target.config for target in targets}
        write_config(out, first_config(servers, ways, out.parent.resolve()), force=force)
    except RouterError as error:
        if not as_json:
            raise
        typer.echo(json.dumps({"ok": False, "error": str(error)}))
        raise typer.Exit(1) from None
    ordered = cheapest_first(servers)
    if as_json:
        found = {one.name: survey_json(one) for one in ordered}
        plans = [plan.name for plan in first_plans(ordered)]
        typer.echo(json.dumps({"ok": True, "file": str(out), "backends": found, "plans": plans}))
        return
    typer.echo(survey_text(ordered))
    typer.echo(f"wrote {out}; next: apportion check {shlex.quote(str(out))}")
    if doubt := contradiction(ordered):
        typer.echo(doubt, err=True)
    if not all(one.prices.price_out for one in ordered):
        typer.echo("it has no prices yet: fill them in, or give --gpu-dollars-per-hour", err=True)


async def _survey_all(targets: Sequence[Target], limits: Limits) -> list[Surveyed]:
    """One after the other, since two that share a machine would slow each other down.

    Who is there is asked of all first, so that everything that is wrong is said at once.
    """
    ended = await asyncio.gather(
        *(greet(target.name, target.config, target.url, os.environ, limits.seconds) for target in targets),
        return_exceptions=True,
    )
    problems = []
    for one in ended:
        if isinstance(one, RouterError):
            problems.append(one)
        elif isinstance(one, BaseException):
            raise one
    if problems:
        raise problems[0] if len(problems) == 1 else ConfigError("\n".join(map(str, problems)))
    rng = random.Random(secrets.randbits(64))  # prompts that no prefix cache has seen
    return [await _survey(target, limits, rng) for target in targets]


async def _survey(target: Target, limits: Limits, rng: random.Random) -> Surveyed:
    def say(what: str) -> None:
        typer.echo(f"{target.name}: {what} …", err=True)

    found = await survey(
        target.name, target.config, target.url, environ=os.environ, limits=limits, rng=rng, say=say
    )
    return Surveyed(target.name, prices_of(target.dollars_per_hour, found.speed), found)
