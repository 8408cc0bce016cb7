"""Every server of a configuration, asked now: each url who it is, the first that answers everything."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from router.config import BackendConfig, Config
from router.errors import RouterError
from router.onboarding.check_backend import check_abilities, check_identity, check_speed
from router.onboarding.checkup import Finding, note, problem
from router.onboarding.survey import Limits, greet, survey


async def check_servers(
    config: Config,
    folder: Path,
    dollars_per_hour: Mapping[str, float],
    limits: Limits,
    *,
    environ: Mapping[str, str],
    rng: random.Random,
    say: Callable[[str], None],
) -> tuple[list[Finding], dict[str, Any]]:
    """What is found, and by backend what was measured (JSON types). One backend after the other."""
    findings: list[Finding] = []
    measured: dict[str, Any] = {}
    for name, written in config.backends.items():
        about = f"backends.{name}"
        if written.kind == "scripted":
            findings.append(note(about, "answers from a script: it is no model"))
        if written.kind != "vllm":
            continue
        place = str(folder / written.ca_file) if written.ca_file else ""
        backend = replace(written, ca_file=place)
        url, seen = await _reachable(name, backend, environ, say)
        findings += seen
        if not url:
            continue
        told = partial(_say, say, name)
        try:
            found = await survey(name, backend, url, environ=environ, limits=limits, rng=rng, say=told)
        except RouterError as error:
            findings.append(problem(about, str(error)))
            continue
        measured[name] = msgspec.to_builtins(found)
        findings += check_abilities(about, found, backend)
        findings += check_speed(about, found, backend, dollars_per_hour.get(name))
    return findings, measured


def _say(say: Callable[[str], None], name: str, what: str) -> None:
    say(f"{name}: {what}")


async def _reachable(
    name: str, backend: BackendConfig, environ: Mapping[str, str], say: Callable[[str], None]
) -> tuple[str, list[Finding]]:
    """The first url that answers, "" where none does, and what was found at each."""
    about, first = f"backends.{name}", ""
    findings: list[Finding] = []
    for url in backend.urls:
        say(f"{name}: {url}")
        try:
            who = await greet(name, backend, url, environ)
        except RouterError as error:
            findings.append(problem(about, str(error)))
            continue
        first = first or url
        findings += check_identity(about, who, backend)
    return first, findings
