"""Configuration to plans: names and tables become rules, selectors, verifiers, gates, prompts and sampling.

Uses no bundle and opens nothing, so that training builds the same plans, with the same digests, as the service.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from predictors.observation import Sampling
from router.config import Config, PlanConfig, StageConfig
from router.configuration.places import Path
from router.configuration.plugin_options import RULE, SELECTOR, VERIFIER, build_plugin
from router.configuration.problems import Problems, unknown
from router.configuration.sections import read_value
from router.domain.plan import Gate, Plan, Prompt, Stage
from router.verifiers import Verifier

_GATE_KEYS = ("signal", "at_least", "below")


def build_plans(config: Config, problems: Problems | None = None) -> dict[str, Plan]:
    """Plans by name, in the configuration's order.

    Raises `ConfigError` naming every key that is wrong; where `problems` is given they are noted there instead, and
    the plans that could not be built are left out.
    """
    found = Problems() if problems is None else problems
    plans: dict[str, Plan] = {}
    named_verifiers(config, found)  # so that what is wrong with one is said once, at its place
    for index, written in enumerate(config.plans):
        path: Path = ("plans", index)
        plan = _plan(written, config, path, found)
        if written.name in {other.name for other in config.plans[:index]} and not found.touch(
            (*path, "name")
        ):
            found.add((*path, "name"), f"two plans are named {written.name!r}")
        elif plan is not None and not found.touch(path):
            plans[written.name] = plan
    if problems is None:
        found.raise_any()
    return plans


def _plan(written: PlanConfig, config: Config, path: Path, problems: Problems) -> Plan | None:
    stages = [
        build_stage(stage, config, (*path, "stages", index), problems)
        for index, stage in enumerate(written.stages)
    ]
    if not stages and not problems.touch((*path, "stages")):
        problems.add(path, "stages is empty; a plan has one stage or more")
    built = tuple(stage for stage in stages if stage is not None)
    return Plan(written.name, built) if built and len(built) == len(stages) else None


def build_stage(written: StageConfig, config: Config, path: Path, problems: Problems) -> Stage | None:
    """One stage, or None where its rule, selector, verifier or gate could not be built; problems are noted."""
    if written.backend not in config.backends and not problems.touch((*path, "backend")):
        problems.add((*path, "backend"), unknown("backend", written.backend, config.backends))
    prompt = _prompt(written.prompt, config, (*path, "prompt"), problems)
    rule = build_plugin(RULE, written.stop, (*path, "stop"), problems)
    several = written.max_samples > 1 or written.pool
    default = "majority" if several else "first"
    selector = build_plugin(SELECTOR, written.select or default, (*path, "select"), problems)
    verifier = None
    if written.verifier:
        verifier = _verifier(written.verifier, config, (*path, "verifier"), problems)
    gate = _gate(written.gate, (*path, "gate"), problems) if written.gate else None
    if (
        rule is None
        or selector is None
        or (written.verifier and verifier is None)
        or (written.gate and gate is None)
    ):
        return None
    return Stage(
        backend=written.backend,
        stop=rule,
        select=selector,
        prompt=prompt,
        sampling=Sampling(
            temperature=written.temperature,
            top_p=written.top_p,
            max_tokens=written.max_tokens,
            thinking_tokens=written.thinking_tokens,
        ),
        max_samples=written.max_samples,
        width=written.width,
        verifier=verifier,
        gate=gate,
        pool=written.pool,
    )


def named_verifiers(config: Config, problems: Problems) -> dict[str, Verifier]:
    """The verifiers of [verifiers] by name; those that could not be built are noted and left out."""
    built: dict[str, Verifier] = {}
    for name, written in config.verifiers.items():
        verifier = build_plugin(VERIFIER, written, ("verifiers", name), problems)
        if verifier is not None:
            built[name] = verifier
    return built


def _verifier(
    written: str | Mapping[str, Any], config: Config, path: Path, problems: Problems
) -> Verifier | None:
    """By a name of [verifiers], a name of the table, or a table of its own."""
    if isinstance(written, str) and written in config.verifiers:
        # what is wrong with it is noted at its own place
        own: Verifier | None = build_plugin(VERIFIER, config.verifiers[written], path, Problems())
        return own
    built: Verifier | None = build_plugin(VERIFIER, written, path, problems)
    return built


def _prompt(name: str, config: Config, path: Path, problems: Problems) -> Prompt:
    if not name:
        return Prompt()
    if name not in config.prompts:
        problems.add(path, unknown("prompt", name, config.prompts))
        return Prompt()
    text = config.prompts[name]
    return Prompt(name, text.system, text.before, text.after)


def _gate(written: Mapping[str, object], path: Path, problems: Problems) -> Gate | None:
    for key in written:
        if key not in _GATE_KEYS:
            problems.add((*path, key), unknown("key", key, _GATE_KEYS))
    signal = read_value(str, written.get("signal", ""), (*path, "signal"), None, problems)
    low, high = (
        read_value(float | None, written[key], (*path, key), None, problems) if key in written else None
        for key in ("at_least", "below")
    )
    if problems.touch(path):
        return None
    if not signal:
        problems.add(path, 'names no signal; write { signal = "p_correct/NAME", at_least = 0.3 }')
    elif low is None and high is None:
        problems.add(path, "has neither at_least nor below, so that it is always open")
    return Gate(signal, low, high)
